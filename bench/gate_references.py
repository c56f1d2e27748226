"""What the gate compares with: the same work as plain Python or numpy would do it. Pure."""

from typing import Any

import numpy as np

from bench.ledger import FUNDS, MIDDLE
from bench.order_flow import names
from market.enums import CommandKind, OrdType, Side
from market.numbering import SYSTEM_ROWS
from market.records import COMMAND, Records
from serve.packed import PLACE

Asked = list[tuple[int, int, int, int, bytes]]


def asked(commands: Records) -> Asked:
    """Account, side, price, quantity, client order id."""
    fields = ("account", "side", "price_ticks", "qty_lots", "client_order_id")
    return list(zip(*(commands[name].tolist() for name in fields), strict=True))


class PlainLedger:
    """Dictionaries: funds are reserved for an order, and every order is settled at once at its price."""

    def __init__(self, accounts: int) -> None:
        self._accounts = range(SYSTEM_ROWS, SYSTEM_ROWS + accounts)

    def run(self, todo: Asked) -> None:
        free = {(account, asset): FUNDS for account in self._accounts for asset in range(2)}
        locked = dict.fromkeys(free, 0)
        named: dict[tuple[int, bytes], int] = {}
        for order_id, (account, side, price, qty, name) in enumerate(todo):
            pays, gets = (1, 0) if side == Side.BUY else (0, 1)
            cost, gain = (price * qty, qty) if side == Side.BUY else (qty, price * qty)
            if (account, name) in named or free[account, pays] < cost:
                continue
            named[account, name] = order_id
            free[account, pays] -= cost
            locked[account, pays] += cost
            locked[account, pays] -= cost
            free[account, gets] += gain
            del named[account, name]


def places(count: int) -> Records:
    """PLACE[count]: plain LIMIT orders."""
    made, dice = np.zeros(count, PLACE), np.random.default_rng(1)
    made["type"] = OrdType.LIMIT
    made["side"] = dice.integers(0, 2, count)
    made["price_ticks"] = MIDDLE + dice.integers(-50, 51, count)
    made["qty_lots"] = dice.integers(1, 101, count)
    made["client_order_id"] = names(0, count)
    return made


def decoded(payload: bytes, limits: Any, account: int) -> Records:
    """COMMAND[n] of the frame's plain LIMIT orders; those out of the filters get no kind."""
    orders = np.frombuffer(payload, PLACE)
    made = np.zeros(len(orders), COMMAND)
    price, qty = orders["price_ticks"], orders["qty_lots"]
    value = price * qty
    fine = (price >= limits[0]) & (price <= limits[1]) & (qty >= limits[2]) & (qty <= limits[3])
    fine &= (value >= limits[4]) & (value <= limits[5]) & (orders["type"] == OrdType.LIMIT) & (orders["side"] < 2)
    fine &= (orders["zero"] == 0) & (orders["stop_price_ticks"] == 0) & (orders["display_lots"] == 0)
    made["kind"] = np.where(fine, CommandKind.NEW, 0)
    made["symbol"], made["account"] = orders["symbol_id"], account
    for name in ("side", "time_in_force", "stp_mode", "price_ticks", "qty_lots", "client_order_id"):
        made[name] = orders[name]
    made["ord_type"] = orders["type"]
    made["expected_leaves"] = -1
    return made
