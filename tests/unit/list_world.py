"""The venue's API over an account that answers as it is told: what is sent to it, and what is made of its answers."""

from collections.abc import Callable
from typing import Any, Final

import numpy as np

from actors.config import Settings
from actors.wire import ReportRow, commands_of
from market.enums import CommandKind, ExecType, OrdStatus
from market.reasons import Reason
from market.records import REPORT, Records
from serve.auth.api_keys import ApiKeys, Key
from serve.auth.key_material import KeyKind, Vault
from serve.binance.context import MILLISECOND_NS, Context
from serve.binance.table import BinanceApi
from serve.gateway import Gateway

SETTINGS: Final = Settings(data_dir="/nowhere", run_dir="/nowhere", pg_dsn="", redis_url="")
KEY: Final = Key("k" * 64, 1, "alice", KeyKind.HMAC, True, True, (), b"s" * 64)
NOW: Final = 1_700_000_000_000_000_000
FIRST_ID: Final = 100
COPIED: Final = (
    "side", "ord_type", "time_in_force", "stp_mode", "flags", "symbol", "account", "price_ticks", "qty_lots",
    "stop_price_ticks", "display_lots", "trailing_bips", "peg_type", "peg_offset", "list_role", "client_order_id",
)  # fmt: skip
BLANK: Final[dict[str, Any]] = dict.fromkeys(ReportRow._fields, 0) | {"commission_asset": -1, "asset": -1}


def row_of(command: Any, place: int, **fields: Any) -> ReportRow:
    """A report of the order that the command places: accepted, on the book, and the last that answers it."""
    own = {name: command[name].item() for name in COPIED}
    whole = {
        **BLANK, **own, "exec_type": int(ExecType.NEW), "ord_status": int(OrdStatus.NEW), "last": 1,
        "order_id": FIRST_ID + place, "leaves_lots": own["qty_lots"], "token": place + 1, "ts_ns": NOW,
        "created_ns": NOW, "working_ns": NOW, "command_kind": command["kind"].item(), "exec_id": place + 1,
    }  # fmt: skip
    return ReportRow(**(whole | fields))


def refused(command: Any, place: int, reason: Reason) -> ReportRow:
    return row_of(
        command, place, exec_type=int(ExecType.REJECTED), ord_status=int(OrdStatus.REJECTED), reason=int(reason)
    )


Answer = Callable[[Records], list[ReportRow]]


class Account:
    """In the place of an account partition's client."""

    up = True

    def __init__(self) -> None:
        self.sent: list[Records] = []
        self.list_names: list[bytes | None] = []
        self.answer: Answer = lambda commands: [row_of(one, k) for k, one in enumerate(commands)]
        self.questions: list[tuple[Any, ...]] = []
        self.told: dict[str, Any] = {}
        """Answers to questions, by their names."""

    async def ask_for(self, packed: bytes, list_name: bytes | None = None) -> list[ReportRow]:
        commands = commands_of([packed])
        self.sent.append(commands)
        self.list_names.append(list_name)
        return self.answer(commands)

    async def call(self, method: str, *args: Any) -> Any:
        self.questions.append((method, *args))
        found = self.told.get(method)
        return found(*args) if callable(found) else found


class World:
    def __init__(self) -> None:
        self.account = Account()
        gateway = Gateway(SETTINGS)
        gateway._clients = [self.account]  # type: ignore[list-item]
        self.api = BinanceApi(gateway, ApiKeys(None, Vault(b"x" * 32)))  # type: ignore[arg-type]
        self.context = Context(self.api.venue, "192.0.2.1", MILLISECOND_NS, KEY)

    async def ask(self, ws_method: str, **values: str) -> Any:
        """As it would be sent to the WebSocket API; a struct, or BinanceError."""
        method = self.api.ws_api.methods[ws_method]
        return await method.route.handler(self.context, method.reading.read(values, 0, True))


def packed_reports(rows: list[ReportRow]) -> bytes:
    """As an account actor sends them."""
    return np.array([tuple(row) for row in rows], REPORT).tobytes()


def canceled(command: Any, order_ids: list[int], **fields: Any) -> list[ReportRow]:
    """The answer to a CANCEL that ends several orders; the one named last."""
    assert command["kind"] == CommandKind.CANCEL
    return [
        row_of(
            command, 0, order_id=one, exec_type=int(ExecType.CANCELED), ord_status=int(OrdStatus.CANCELED),
            reason=int(Reason.USER_CANCELED), last=int(one == order_ids[-1]), qty_lots=100, symbol=0,
            client_order_id=b"order-%d" % one, **fields,
        )
        for one in order_ids
    ]  # fmt: skip
