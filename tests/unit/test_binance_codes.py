"""Every code of the venue's list of errors: told here, or why it never is."""

import ast
from pathlib import Path

from serve import binance

SPOT_CODES = frozenset({
    *range(-1003, -999), *range(-1008, -1005), *range(-1016, -1012), -1020, -1021, -1022, -1033, -1034, -1035,
    *range(-1106, -1099), -1108, -1111, -1112, *range(-1122, -1113), -1125, -1127, -1128, -1130, -1131, -1134, -1135, -1139,
    -1145, *range(-1153, -1150), -1155, -1158, -1160, -1161, -1165, -1166, -1168, *range(-1191, -1168), -1194,
    *range(-1199, -1195), -1210, -1211, *range(-1225, -1219), -2010, -2011, *range(-2016, -2012), -2021, -2022, -2026, -2035,
    -2036, -2038, -2039, -2042, -2043,
})  # fmt: skip
NEVER_TOLD = {
    -1002: "what a key may not do is -2015",
    -1006: "there is no message bus; unknown outcomes are -1007",
    -1016: "no service is taken away",
    -1033: "FIX only",
    -1035: "FIX only",
    -1103: "-1104 counts unknown parameters",
    -1112: "a MARKET order without a book is accepted and expires",
    -1114: "-1106 names the parameter",
    -1153: "no SBE",
    -1161: "no SBE",
    **dict.fromkeys(range(-1191, -1168), "FIX only"),
    -1221: "no SBE",
    -1224: "FIX only",
    -1225: "FIX only",
    -2016: "there is always a trading window",
    -2026: "orders are kept for ever",
}


def told() -> set[int]:
    """The codes that occur in the source of the venue's API."""
    found: set[int] = set()
    for path in Path(*binance.__path__).glob("*.py"):
        for node in ast.walk(ast.parse(path.read_text())):
            if (
                isinstance(node, ast.UnaryOp)
                and isinstance(node.op, ast.USub)
                and isinstance(node.operand, ast.Constant)
            ):
                value = node.operand.value
                if isinstance(value, int) and 1000 <= value <= 2999:
                    found.add(-value)
    return found


def test_every_code_is_told_or_said_why_not() -> None:
    assert told() | NEVER_TOLD.keys() >= SPOT_CODES
    assert not told() & NEVER_TOLD.keys(), "told after all"


def test_no_code_is_our_own() -> None:
    assert told() <= SPOT_CODES
