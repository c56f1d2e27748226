"""Builders and comparisons shared by the tests of the book."""

from collections.abc import Iterable, Sequence
from decimal import Decimal
from typing import Any

import numpy as np

from market.enums import (
    FILL_MODEL_BIT,
    OUTSIDE_EDGE,
    CancelRestriction,
    CommandFlag,
    CommandKind,
    EventKind,
    FillModel,
    ListRole,
    OrdType,
    PegType,
    Side,
    StpMode,
    TimeInForce,
)
from market.instrument import INT_LIMIT, PPM, Asset, Instrument
from market.numbering import OUTSIDE_ACCOUNT
from market.reasons import Reason
from market.records import COMMAND, EVENT
from tests.reference.naive_book import Command, Event

SYMBOL_ID = 7

TINY = Instrument(
    symbol="TNYQ",
    base=Asset("TNY", 0),
    quote=Asset("Q", 1),
    tick=Decimal(1),
    lot=Decimal(1),
    min_price_ticks=1,
    max_price_ticks=20,
    min_qty_lots=2,
    max_qty_lots=10,
    market_min_qty_lots=1,
    market_max_qty_lots=8,
    min_notional_units=50,
    max_notional_units=1500,
    bid_multiplier_up_ppm=3 * PPM,
    bid_multiplier_down_ppm=PPM // 3,
    ask_multiplier_up_ppm=2 * PPM,
    ask_multiplier_down_ppm=PPM // 2,
    max_num_orders=200,
    start_price_ticks=10,
)
"""Every filter is within reach of small numbers; one tick x lot is ten quote units."""

REALISTIC = Instrument(
    symbol="BTCUSDT",
    base=Asset("BTC", 8),
    quote=Asset("USDT", 8),
    tick=Decimal("0.01"),
    lot=Decimal("0.00001"),
    min_price_ticks=1,
    max_price_ticks=100_000_000,
    min_qty_lots=1,
    max_qty_lots=900_000_000,
    market_min_qty_lots=1,
    market_max_qty_lots=12_000_000,
    min_notional_units=5 * 10**8,
    max_notional_units=9_000_000 * 10**8,
    bid_multiplier_up_ppm=5 * PPM,
    bid_multiplier_down_ppm=PPM // 5,
    ask_multiplier_up_ppm=5 * PPM,
    ask_multiplier_down_ppm=PPM // 5,
    max_num_orders=200,
    start_price_ticks=6_500_000,
)


EXTREME = Instrument(
    symbol="XTRMQ",
    base=Asset("XTRM", 0),
    quote=Asset("Q", 0),
    tick=Decimal(1),
    lot=Decimal(1),
    min_price_ticks=1,
    max_price_ticks=1 << 61,
    min_qty_lots=1,
    max_qty_lots=1 << 58,
    market_min_qty_lots=1,
    market_max_qty_lots=1 << 58,
    min_notional_units=1,
    max_notional_units=INT_LIMIT - 1,
    bid_multiplier_up_ppm=PPM * PPM,
    bid_multiplier_down_ppm=0,
    ask_multiplier_up_ppm=PPM * PPM,
    ask_multiplier_down_ppm=1,
    max_num_orders=200,
    start_price_ticks=1 << 40,
)
"""Products of its valid numbers leave 64 bits (R6, R7); sixteen of its orders in a level do not."""


def commands(rows: Iterable[dict[str, Any]]) -> np.ndarray:
    """A COMMAND array of the given fields, all others 0 (`expected_leaves`: -1)."""
    rows = list(rows)
    array = np.zeros(len(rows), COMMAND)
    array["expected_leaves"] = -1
    array["symbol"] = SYMBOL_ID
    for place, row in enumerate(rows):
        for name, value in row.items():
            array[place][name] = value
    return array


def limit(
    order_id: int, account: int, side: Side, qty: int, price: int, tif: int = TimeInForce.GTC, **more: Any
) -> dict[str, Any]:
    return {
        "order_id": order_id,
        "account": account,
        "side": side,
        "qty_lots": qty,
        "price_ticks": price,
        "time_in_force": tif,
        "maker_fee_ppm": 100 * account,
        "taker_fee_ppm": 1000 * account,
    } | more


def maker_only(order_id: int, account: int, side: Side, qty: int, price: int, **more: Any) -> dict[str, Any]:
    return limit(order_id, account, side, qty, price, ord_type=OrdType.LIMIT_MAKER, **more)


def market(order_id: int, account: int, side: Side, qty: int = 0, budget: int = 0, **more: Any) -> dict[str, Any]:
    return limit(order_id, account, side, qty, 0, ord_type=OrdType.MARKET, quote_units=budget, **more)


def by_quote(order_id: int, account: int, side: Side, amount: int, cap: int = 0, **more: Any) -> dict[str, Any]:
    return market(order_id, account, side, cap, amount, flags=CommandFlag.BY_QUOTE, **more)


STOP_MARKET = {False: OrdType.STOP_LOSS, True: OrdType.TAKE_PROFIT}
STOP_LIMIT = {False: OrdType.STOP_LOSS_LIMIT, True: OrdType.TAKE_PROFIT_LIMIT}


def stop_market(
    order_id: int, account: int, side: Side, qty: int, stop: int, profit: bool = False, **more: Any
) -> dict[str, Any]:
    return limit(order_id, account, side, qty, 0, ord_type=STOP_MARKET[profit], stop_price_ticks=stop, **more)


def stop_limit(
    order_id: int, account: int, side: Side, qty: int, price: int, stop: int, profit: bool = False, **more: Any
) -> dict[str, Any]:
    return limit(order_id, account, side, qty, price, ord_type=STOP_LIMIT[profit], stop_price_ticks=stop, **more)


def pair(first: dict[str, Any], second: dict[str, Any], list_id: int = 1) -> tuple[dict[str, Any], dict[str, Any]]:
    """L1."""
    return (
        first | {"list_role": ListRole.OCO_FIRST, "list_id": list_id},
        second | {"list_role": ListRole.OCO_SECOND, "list_id": list_id},
    )


def cancel(order_id: int, account: int, **more: Any) -> dict[str, Any]:
    return {"kind": CommandKind.CANCEL, "order_id": order_id, "account": account} | more


def cancel_all(account: int) -> dict[str, Any]:
    return {"kind": CommandKind.CANCEL_ALL, "account": account}


def amend(order_id: int, account: int, total: int) -> dict[str, Any]:
    return {"kind": CommandKind.AMEND, "order_id": order_id, "account": account, "qty_lots": total}


def replace(target_id: int, new: dict[str, Any], expected_leaves: int = -1, **more: Any) -> dict[str, Any]:
    return new | {"kind": CommandKind.REPLACE, "target_id": target_id, "expected_leaves": expected_leaves} | more


def outside_level(side: Side, qty: int, price: int, edge: bool = False, **more: Any) -> dict[str, Any]:
    """O2."""
    flags = OUTSIDE_EDGE if edge else 0
    return _outside(CommandKind.OUTSIDE_LEVEL, side=side, qty_lots=qty, price_ticks=price, flags=flags) | more


def outside_quote(side: Side, qty: int, price: int, **more: Any) -> dict[str, Any]:
    """O3."""
    return _outside(CommandKind.OUTSIDE_QUOTE, side=side, qty_lots=qty, price_ticks=price) | more


def outside_trade(side: Side, qty: int, price: int, **more: Any) -> dict[str, Any]:
    """O4; `side` is the taker's."""
    return _outside(CommandKind.OUTSIDE_TRADE, side=side, qty_lots=qty, price_ticks=price) | more


def outside_clear(**more: Any) -> dict[str, Any]:
    """O5."""
    return _outside(CommandKind.OUTSIDE_CLEAR) | more


def outside_status(trades: int, **more: Any) -> dict[str, Any]:
    """O6."""
    return _outside(CommandKind.OUTSIDE_STATUS, qty_lots=trades) | more


def _outside(kind: CommandKind, **fields: Any) -> dict[str, Any]:
    return {"kind": kind, "account": OUTSIDE_ACCOUNT} | fields


def fill_model(model: FillModel) -> int:
    """Its bits of `flags`."""
    return model << FILL_MODEL_BIT


def event_array(events: Sequence[Event]) -> np.ndarray:
    return np.array(events, EVENT)


def told(event: Event | np.void) -> str:
    """One event in a line: 'TRADE 3 x 1 2@10 leaves 0/4', 'EXPIRED 3 IOC_UNFILLED 2@10 leaves 1'.

    The outside: 'TRADE 3 x ask:10 2@10 leaves 0/6', 'TRADE print x 1 2@10 leaves 3/0'; a queue: 'QUEUED 1 ahead 5 trades
    2 cancels 1 @10 leaves 4'.
    """
    one = Event._make(event.tolist() if isinstance(event, np.void) else event)
    kind = EventKind(one.kind).name if one.kind in set(EventKind) else f"kind {one.kind}"
    at = f"{one.qty_lots}@{one.price_ticks}"
    if one.kind in (EventKind.TRADE, EventKind.PREVENTED):
        leaves = f"{one.leaves_lots}/{one.maker_leaves_lots}"
        return f"{kind} {_party(one.order_id)} x {_party(one.maker_order_id)} {at} leaves {leaves}"
    if one.kind == EventKind.QUEUED:
        canceled = one.qty_lots - one.quote_units - one.maker_leaves_lots
        figures = f"ahead {one.quote_units} trades {one.maker_leaves_lots} cancels {canceled}"
        return f"{kind} {one.order_id} {figures} @{one.price_ticks} leaves {one.leaves_lots}"
    if one.kind == EventKind.TRACKING:
        return f"{kind} {one.order_id} from {one.price_ticks}"
    reason = f" {Reason(one.reason).name}" if one.reason in set(Reason) and one.reason else ""
    return f"{kind} {one.order_id}{reason} {at} leaves {one.leaves_lots}"


def _party(order_id: int) -> str:
    """Of a match: an order, an outside level or a print."""
    if order_id >= 0:
        return str(order_id or "print")
    return f"{'ask' if -order_id % 2 else 'bid'}:{-order_id // 2}"


def difference(batch: np.ndarray, got: np.ndarray, expected: np.ndarray) -> str:
    """'' when both are equal; else the first event that differs, field by field, and what led to it."""
    if len(got) == len(expected) and got.tobytes() == expected.tobytes():
        return ""
    shared = min(len(got), len(expected))
    first = int(np.append(np.flatnonzero(got[:shared] != expected[:shared]), shared)[0])
    lines = [f"event {first} differs ({len(got)} events, the oracle tells {len(expected)})"]
    if first < shared:
        lines += [
            f"  {name}: {got[first][name]}, oracle {expected[first][name]}"
            for name in EVENT.names or ()
            if got[first][name] != expected[first][name]
        ]
    lines += [
        f"  {who} tells {told(e)}" for who, es in (("it", got), ("oracle", expected)) for e in es[first : first + 3]
    ]
    last = max((int(es[first]["command_index"]) for es in (got, expected) if first < len(es)), default=0)
    lines.append("after")
    lines += [f"  [{i}] {readable_command(batch[i])}" for i in range(max(0, last - 11), min(last + 1, len(batch)))]
    return "\n".join(lines)


def readable_command(row: np.void) -> str:
    """The fields that are not idle, so that a failing list can be pasted into a test."""
    fields = Command._make(row.tolist())._asdict()
    idle = {"symbol": SYMBOL_ID, "expected_leaves": -1, "client_order_id": b""}
    return str({name: value for name, value in fields.items() if value != idle.get(name, 0)})


HOSTILE_BYTES = (0, 1, 2, 3, 4, 5, 6, 127, 128, 255)
HOSTILE_INTS = (-(1 << 63), -(1 << 62), -1, 0, 1, 2, 1 << 31, 1 << 32, 1 << 62, (1 << 62) - 1, (1 << 63) - 1)
HOSTILE_BYTE_FIELDS: tuple[str, ...] = (
    "kind",
    "side",
    "ord_type",
    "time_in_force",
    "stp_mode",
    "flags",
    "peg_type",
    "peg_offset",
)
HOSTILE_BYTE_FIELDS += ("list_role", "cancel_restriction")
HOSTILE_INT_FIELDS: tuple[str, ...] = (
    "order_id",
    "target_id",
    "price_ticks",
    "qty_lots",
    "quote_units",
    "expected_leaves",
)
HOSTILE_INT_FIELDS += ("stop_price_ticks", "display_lots", "list_id")
HOSTILE_FEES = (-(1 << 31), -1, 0, 1, PPM - 1, PPM, PPM + 1, (1 << 31) - 1)


def edges(instrument: Instrument) -> list[int]:
    """limit - 1, limit and limit + 1 of every filter."""
    filters = (
        instrument.min_price_ticks,
        instrument.max_price_ticks,
        instrument.min_qty_lots,
        instrument.max_qty_lots,
        instrument.market_max_qty_lots,
        instrument.min_notional_units,
        instrument.max_notional_units,
    )
    return [bound + step for bound in filters for step in (-1, 0, 1)]


def random_flow(
    seed: int,
    count: int,
    instrument: Instrument,
    prices: Sequence[int],
    quantities: Sequence[int],
    hostile: float = 0.0,
    kinds: Sequence[float] = (0.7, 0.12, 0.1, 0.07, 0.01),
    accounts: int = 4,
    special: float = 0.0,
    pairs: float = 0.0,
) -> np.ndarray:
    """A seeded COMMAND array. Order ids count up from 1; CANCEL, AMEND and REPLACE name young ones.

    `prices` ascend; bids prefer the low, asks the high ones. `kinds` are the shares of NEW, CANCEL, REPLACE,
    AMEND, CANCEL_ALL; `hostile` the share of commands that get one field from outside its domain or from the
    edge of a filter; `special` that of orders with a stop price, a trailing delta, a display quantity or a peg, and
    of cancels with a restriction; `pairs` that of NEWs that are the first of a pair.
    """
    rng = np.random.default_rng(seed)
    flow = np.zeros(count, COMMAND)
    owner = rng.integers(1, accounts + 1, count)
    own = np.arange(1, count + 1)
    named = np.maximum(1, own - rng.geometric(0.08, count))
    kind = rng.choice(5, count, p=kinds)
    ord_type = rng.choice(3, count, p=(0.75, 0.15, 0.1))
    market_by_quote = (ord_type == OrdType.MARKET) & (rng.random(count) < 0.5)
    naming = (kind == CommandKind.CANCEL) | (kind == CommandKind.AMEND)
    flow["symbol"] = SYMBOL_ID
    flow["kind"] = kind
    flow["side"] = rng.integers(0, 2, count)
    flow["ord_type"] = ord_type
    flow["time_in_force"] = rng.choice(3, count, p=(0.7, 0.2, 0.1))
    flow["stp_mode"] = rng.integers(0, 5, count)
    flow["flags"] = market_by_quote * CommandFlag.BY_QUOTE
    flow["account"] = np.where((kind != CommandKind.NEW) & (rng.random(count) < 0.9), owner[named - 1], owner)
    flow["order_id"] = np.where(naming, named, own)
    flow["target_id"] = np.where(kind == CommandKind.REPLACE, named, 0)
    drawn = np.sort(rng.integers(0, len(prices), (2, count)), axis=0)
    flow["price_ticks"] = np.asarray(prices)[np.where(flow["side"] == Side.BUY, drawn[0], drawn[1])]
    flow["qty_lots"] = rng.choice(quantities, count)
    amounts = flow["price_ticks"].astype(float) * flow["qty_lots"] * instrument.quote_units_per_tick_lot
    amounts = np.minimum(amounts * rng.choice((0.3, 1.0, 2.0), count), 2.0**62).astype(np.int64)
    flow["quote_units"] = np.where(market_by_quote | (rng.random(count) < 0.3), amounts, 0)
    flow["qty_lots"][market_by_quote & (rng.random(count) < 0.5)] = 0
    flow["expected_leaves"] = np.where(rng.random(count) < 0.7, -1, rng.choice(quantities, count))
    flow["maker_fee_ppm"] = 100 * flow["account"]
    flow["taker_fee_ppm"] = 1000 * flow["account"]
    if special or pairs:
        _specialise(rng, flow, prices, quantities, special, pairs)
    bytes_, fees = (
        HOSTILE_BYTE_FIELDS if special else HOSTILE_BYTE_FIELDS[:6],
        ("maker_fee_ppm", "taker_fee_ppm"),
    )
    ints = HOSTILE_INT_FIELDS if special else HOSTILE_INT_FIELDS[:6]
    ints_values = (*HOSTILE_INTS, *edges(instrument))
    for place in np.flatnonzero(rng.random(count) < hostile):
        name = str(rng.choice(bytes_ + ints + fees))
        values = HOSTILE_BYTES if name in bytes_ else HOSTILE_FEES if name in fees else ints_values
        flow[place][name] = values[rng.integers(len(values))]
    if max(quantities) > 1000:
        # S4 takes a budget that is not consumed off an own order piece by piece: one event for each piece.
        market = flow["ord_type"] == OrdType.MARKET
        flow["stp_mode"][market & (flow["stp_mode"] == StpMode.DECREMENT)] = StpMode.EXPIRE_BOTH
    return flow


def _specialise(
    rng: np.random.Generator,
    flow: np.ndarray,
    prices: Sequence[int],
    quantities: Sequence[int],
    special: float,
    pairs: float,
) -> None:
    """Make stops, icebergs, pegged orders, restricted cancels and pairs of a part of a random flow."""
    placing = (flow["kind"] == CommandKind.NEW) | (flow["kind"] == CommandKind.REPLACE)
    for place in np.flatnonzero(rng.random(len(flow)) < special):
        row = flow[place]
        if not placing[place]:
            row["cancel_restriction"] = rng.integers(0, 3)
            continue
        row["flags"] = row["flags"] & CommandFlag.BY_QUOTE if row["kind"] == CommandKind.NEW else rng.choice((0, 4, 8))
        what = rng.integers(0, 5)
        if what <= 1:
            row["ord_type"] = rng.integers(OrdType.STOP_LOSS, len(OrdType))
            row["flags"] = int(row["flags"]) & ~int(CommandFlag.BY_QUOTE)
            row["qty_lots"] = max(int(row["qty_lots"]), min(quantities))
            row["stop_price_ticks"] = rng.choice(prices)
            if rng.random() < 0.5:
                row["trailing_bips"] = rng.choice((10, 100, 1000, 2000))
                row["stop_price_ticks"] *= rng.integers(0, 2)
        elif what <= 3:
            row["ord_type"] = rng.choice((OrdType.LIMIT, OrdType.LIMIT_MAKER, OrdType.STOP_LOSS_LIMIT))
            row["flags"] = int(row["flags"]) & ~int(CommandFlag.BY_QUOTE)
            row["qty_lots"] = max(int(row["qty_lots"]), min(quantities))
            row["stop_price_ticks"] = rng.choice(prices) if row["ord_type"] == OrdType.STOP_LOSS_LIMIT else 0
            row["time_in_force"] = rng.choice((TimeInForce.GTC, TimeInForce.GTC, TimeInForce.FOK))
            if what == 2:
                row["display_lots"] = rng.choice(quantities)
        if what >= 3:
            row["peg_type"] = rng.choice((PegType.PRIMARY_PEG, PegType.MARKET_PEG))
            row["peg_offset"] = rng.choice((0, 0, 1, 3, 101))
            row["price_ticks"] *= rng.integers(0, 2)
    places = np.flatnonzero(rng.random(len(flow) - 1) < pairs)
    for place in places[np.diff(places, prepend=-2) > 1]:
        _make_pair(rng, flow, int(place), prices)


def _make_pair(rng: np.random.Generator, flow: np.ndarray, place: int, prices: Sequence[int]) -> None:
    one, two = flow[place], flow[place + 1]
    ids = int(flow["order_id"][place]), int(flow["order_id"][place + 1])
    side, account = int(rng.integers(0, 2)), int(one["account"])
    low, high = np.sort(rng.choice(prices, 2))
    stop, far = (low, high) if side == Side.SELL else (high, low)
    qty = int(one["qty_lots"]) or 1
    for row, name in ((one, "first"), (two, "second")):
        stop_leg = (name == "first") == bool(ids[0] % 2)
        kind = rng.choice((OrdType.STOP_LOSS, OrdType.STOP_LOSS_LIMIT)) if stop_leg else rng.choice((2, 2, 5, 6))
        row["kind"], row["side"], row["account"], row["ord_type"] = CommandKind.NEW, side, account, kind
        row["order_id"] = place + 1 if name == "first" else place + 2
        row["qty_lots"], row["list_id"], row["flags"], row["target_id"] = qty, place + 1, 0, 0
        row["list_role"] = ListRole.OCO_FIRST if name == "first" else ListRole.OCO_SECOND
        row["price_ticks"], row["quote_units"], row["time_in_force"] = (stop if stop_leg else far), 0, 0
        row["stop_price_ticks"] = 0 if kind == OrdType.LIMIT_MAKER else (stop if stop_leg else far)
        row["trailing_bips"], row["peg_type"], row["peg_offset"], row["display_lots"] = 0, 0, 0, 0
        row["cancel_restriction"] = CancelRestriction.NONE
