"""Order lists as they stand, and the venue's words about them."""

from collections.abc import Sequence
from typing import Any, Final

import msgspec
from msgspec import UNSET

from market.enums import Contingency, ListStatus
from serve.binance.context import Context
from serve.binance.order_structs import ListOrder, ListStanding, OrderList

CONTINGENCIES: Final = [one.name for one in Contingency]
LIST_STATUSES: Final = [one.name for one in ListStatus]
STATUS_TYPES: Final = ["EXEC_STARTED", "ALL_DONE"]
"""By `ListStatus`."""


class FoundList(msgspec.Struct, gc=False):
    list_id: int
    symbol: str
    contingency: int
    name: str
    status: int
    updated_ns: int
    orders: list[tuple[int, str]]
    """Order id and client order id."""
    open_ids: list[int]


async def live_list(ctx: Context, list_id: int | None, name: str | None) -> FoundList | None:
    """By its number, else by its name: a list that is open, or ended not long ago."""
    key = b"" if name is None or list_id is not None else name.encode("ascii")
    found = await ctx.venue.gateway.ask(ctx.account, "list", ctx.account, list_id or 0, key)
    return None if found is None else from_account(ctx, found)


async def open_lists(ctx: Context) -> list[FoundList]:
    found = await ctx.venue.gateway.ask(ctx.account, "open_lists", ctx.account)
    return [from_account(ctx, one) for one in found]


def from_account(ctx: Context, found: dict[str, Any]) -> FoundList:
    orders = found["orders"]
    return FoundList(
        found["list_id"], ctx.venue.scales[found["symbol"]].symbol, found["contingency"], text(found["name"]),
        found["status"], found["updated_ns"], [(order_id, text(name)) for order_id, name, _ in orders],
        [order_id for order_id, _, is_open in orders if is_open],
    )  # fmt: skip


def from_stored(row: Any) -> FoundList:
    """From the read models: `open_ids` is not known."""
    return FoundList(
        row.list_id, row.symbol, row.contingency, row.list_client_order_id, row.list_status, row.updated_ns,
        list(row.orders), [],
    )  # fmt: skip


def text(name: bytes) -> str:
    return name.rstrip(b"\0").decode("latin-1")


def order_list(ctx: Context, one: FoundList, reports: Sequence[Any] | None = None) -> OrderList:
    return OrderList(
        one.list_id, CONTINGENCIES[one.contingency], STATUS_TYPES[one.status], LIST_STATUSES[one.status], one.name,
        ctx.told(one.updated_ns), one.symbol, _orders(one), UNSET if reports is None else list(reports),
    )  # fmt: skip


def canceled_list(ctx: Context, one: FoundList, reports: Sequence[Any]) -> OrderList:
    one.status = int(ListStatus.ALL_DONE)
    return order_list(ctx, one, reports)


def list_standing(ctx: Context, one: FoundList) -> ListStanding:
    return ListStanding(
        one.list_id, CONTINGENCIES[one.contingency], LIST_STATUSES[one.status], one.name, one.symbol, _orders(one)
    )


def _orders(one: FoundList) -> list[ListOrder]:
    return [ListOrder(one.symbol, order_id, name) for order_id, name in one.orders]
