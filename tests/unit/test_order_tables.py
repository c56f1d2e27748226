"""What the engine tells about orders of all kinds, folded into the tables of a real PostgreSQL in runs of any size.

The expectation is a plain loop over the same events.
"""

import asyncio
import os
import random
import shutil
from collections.abc import AsyncIterator, Iterator, Sequence
from types import SimpleNamespace
from typing import Any, NamedTuple

import asyncpg
import numpy as np
import pytest

from actors.balance_writer import AT_ONCE, BalanceWriter
from actors.config import Settings
from actors.give_way import server_gives_way
from actors.order_copy import _FIXED, copy_orders
from actors.order_turns import rare_of
from actors.read_models import ReadModels, prepare
from actors.wire import Batch
from deploy.migrate import migrate
from deploy.postgres import EmbeddedPostgres
from market.book import Book, Books
from market.enums import CommandFlag, CommandKind, EventKind, ListRole, OrdStatus, OrdType, PegType, Side, StpMode
from market.ledger import Ledger
from market.reasons import Reason
from market.records import COMMAND, EVENT, Records
from market.universe import instruments
from tests.reference.build import (
    amend,
    cancel,
    commands,
    limit,
    maker_only,
    market,
    pair,
    random_flow,
    stop_limit,
    stop_market,
)
from tests.unit.test_conditional_orders import WIDE

SYMBOLS = instruments(9)
NAMES = [one.symbol for one in SYMBOLS]
ONE, OTHER = 7, 8
QUIET = {4}
START_NS = 1_780_000_000_000_000_000
Row = dict[str, Any]
BUY, SELL = Side
ALICE, BOB, CAROL = 1, 2, 3


# -- the loop ---------------------------------------------------------------------------------------------------------


class Expected(NamedTuple):
    orders: dict[int, Row]
    amendments: list[Row]
    prevented: list[Row]


TERMS = ("stop_price_ticks", "display_lots", "trailing_bips", "peg_type", "peg_offset", "list_id", "list_role")
PLAIN = ("account", "side", "ord_type", "time_in_force", "stp_mode", "flags")
WAITING = {OrdType.STOP_LOSS, OrdType.STOP_LOSS_LIMIT, OrdType.TAKE_PROFIT, OrdType.TAKE_PROFIT_LIMIT}


def naive(batches: Sequence[Batch]) -> Expected:
    found = Expected({}, [], [])
    for batch in batches:
        last: Row = {}
        for event in batch.events:
            command = batch.commands[event["command_index"]]
            one: Row = {name: int(event[name]) for name in EVENT.names or ()}
            one["ts_ns"], one["name"] = batch.ts_ns, NAMES[one["symbol"]]
            if one["kind"] == EventKind.PREVENTED:
                last = prevented_row(one)
                found.prevented.append(last)
            fold(found, one, command, last)
    users = [one for one in found.prevented if one["account"] not in QUIET]
    return found._replace(prevented=users)


def fold(found: Expected, one: Row, command: Any, match: Row) -> None:
    orders, kind = found.orders, one["kind"]
    if kind == EventKind.ACCEPTED and one["account"] not in QUIET:
        orders[one["order_id"]] = born(one, command)
    own, maker = orders.get(one["order_id"]), orders.get(one["maker_order_id"])
    if kind in (EventKind.TRADE, EventKind.PREVENTED):
        if maker is not None:
            touch(maker, one, one["maker_leaves_lots"], True)
        if own is not None:
            touch(own, one, one["leaves_lots"], False)
    elif own is not None and kind not in (EventKind.REJECTED, EventKind.ACCEPTED):
        own["leaves_lots"], own["reason"], own["updated_ns"] = one["leaves_lots"], 0, one["ts_ns"]
        CHANGES[kind](found, own, one, command)
    if kind == EventKind.EXPIRED and one["trade_id"]:
        assert one["reason"] == Reason.SELF_TRADE_PREVENTION
        side = "taker" if match["taker_order_id"] == one["order_id"] else "maker"
        assert match[f"{side}_order_id"] == one["order_id"]
        assert match["prevented_match_id"] == one["trade_id"]
        match[f"{side}_prevented_lots"] += one["leaves_lots"]


def born(one: Row, command: Any) -> Row:
    waits = one["ord_type"] in WAITING
    tracks = command["trailing_bips"] and not command["stop_price_ticks"]
    return {
        **{name: one[name] for name in (*PLAIN, "order_id", "price_ticks", "qty_lots", "leaves_lots")},
        **{name: int(command[name]) for name in TERMS},
        "symbol": one["name"], "client_order_id": command["client_order_id"].decode(), "cum_qty_lots": 0,
        "cum_quote_units": 0, "ord_status": OrdStatus.NEW, "reason": 0, "created_ns": one["ts_ns"],
        "updated_ns": one["ts_ns"], "working_ns": 0 if waits else one["ts_ns"],
        "tracking_ns": one["ts_ns"] if tracks else 0, "prevented_lots": 0, "prevented_match_id": 0,
    }  # fmt: skip


def touch(order: Row, one: Row, leaves: int, is_maker: bool) -> None:
    order["leaves_lots"], order["reason"], order["updated_ns"] = leaves, 0, one["ts_ns"]
    if one["kind"] == EventKind.PREVENTED:
        if one["qty_lots"]:
            order["prevented_lots"] += one["qty_lots"]
            order["prevented_match_id"] = one["trade_id"]
        return
    order["cum_qty_lots"] += one["qty_lots"]
    order["cum_quote_units"] += one["quote_units"]
    by_quote = not is_maker and one["flags"] & CommandFlag.BY_QUOTE
    order["ord_status"] = OrdStatus.PARTIALLY_FILLED if leaves or by_quote else OrdStatus.FILLED


def ended(found: Expected, order: Row, one: Row, command: Any) -> None:
    order["reason"] = one["reason"]
    if one["kind"] == EventKind.CANCELED:
        order["ord_status"] = OrdStatus.CANCELED
    elif one["reason"] == Reason.SELF_TRADE_PREVENTION:
        order["ord_status"], order["prevented_match_id"] = OrdStatus.EXPIRED_IN_MATCH, one["trade_id"]
        order["prevented_lots"] += one["leaves_lots"]
    else:
        order["ord_status"] = OrdStatus.FILLED if one["reason"] == Reason.QUOTE_SPENT else OrdStatus.EXPIRED


def amended(found: Expected, order: Row, one: Row, command: Any) -> None:
    before = dict(order)
    order["qty_lots"] = one["qty_lots"]
    named = command["client_order_id"] and not command["flags"] & CommandFlag.BY_CLIENT_ORDER_ID
    if named and command["order_id"] == one["order_id"]:
        order["client_order_id"] = command["client_order_id"].decode()
    found.amendments.append(
        {
            "account": one["account"], "symbol": one["name"], "order_id": one["order_id"], "exec_id": one["exec_id"],
            "orig_client_order_id": before["client_order_id"], "new_client_order_id": order["client_order_id"],
            "orig_qty_lots": before["qty_lots"], "new_qty_lots": one["qty_lots"], "ts_ns": one["ts_ns"],
        }
    )  # fmt: skip


def triggered(found: Expected, order: Row, one: Row, command: Any) -> None:
    order["working_ns"], order["price_ticks"] = one["ts_ns"], one["price_ticks"]


def tracking(found: Expected, order: Row, one: Row, command: Any) -> None:
    order["tracking_ns"] = one["ts_ns"]


CHANGES = {
    EventKind.CANCELED: ended,
    EventKind.EXPIRED: ended,
    EventKind.AMENDED: amended,
    EventKind.TRIGGERED: triggered,
    EventKind.TRACKING: tracking,
}


def prevented_row(one: Row) -> Row:
    return {
        "account": one["account"], "symbol": one["name"], "prevented_match_id": one["trade_id"],
        "taker_order_id": one["order_id"], "maker_order_id": one["maker_order_id"], "stp_mode": one["stp_mode"],
        "price_ticks": one["price_ticks"], "taker_prevented_lots": one["qty_lots"],
        "maker_prevented_lots": one["qty_lots"], "ts_ns": one["ts_ns"],
    }  # fmt: skip


# -- a market ---------------------------------------------------------------------------------------------------------


def named(flow: Records, dice: random.Random) -> Records:
    """Names as the accounts give them: AMENDs with a new one, with none, or with the one they call the order by."""
    for place, row in enumerate(flow):
        if row["kind"] != CommandKind.AMEND:
            row["client_order_id"] = f"c{row['symbol']}-{place}".encode()
            continue
        row["flags"] = dice.choice((0, CommandFlag.BY_CLIENT_ORDER_ID))
        row["client_order_id"] = dice.choice((b"", f"a{row['symbol']}-{place}".encode()))
    return flow


def two_markets(seed: int, count: int) -> Records:
    """Commands of two symbols, one after the other as they come."""
    prices = range(90, 111)
    flows = [
        random_flow(
            seed + symbol, count, WIDE, prices, (1, 2, 5, 9), kinds=(0.72, 0.08, 0.08, 0.11, 0.01), special=0.4,
            pairs=0.1,
        )
        for symbol in (ONE, OTHER)
    ]  # fmt: skip
    for flow, symbol, offset in zip(flows, (ONE, OTHER), (0, count), strict=True):
        flow["symbol"] = symbol
        for field in ("order_id", "target_id"):
            flow[field] = np.where(flow[field] > 0, flow[field] + offset, 0)
    dice = random.Random(seed)
    one, other = (named(flow, dice) for flow in flows)
    mixed = np.zeros(2 * count, COMMAND)
    mixed[0::2], mixed[1::2] = one, other
    # A pair is two commands in a row of its symbol, which the book sees without the other's.
    return mixed


def batches_of(flow: Records, sizes: Iterator[int]) -> list[Batch]:
    books, made, at = Books({symbol: Book(WIDE, symbol) for symbol in (ONE, OTHER)}), list[Batch](), 0
    while at < len(flow):
        taken = flow[at : (at := at + next(sizes))].copy()
        seq = len(made) + 1
        made.append(Batch(0, 1, seq, START_NS + 1000 * seq, taken, books.apply(taken)))
    return made


# -- the tables -------------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    folder = tmp_path_factory.mktemp("orders")
    server = EmbeddedPostgres(folder / "data")
    try:
        dsn = server.start()
        asyncio.run(migrate(dsn))
        yield dsn
    finally:
        server.stop()
        shutil.rmtree(folder)


@pytest.fixture
async def connection(server: str) -> AsyncIterator[Any]:
    connection = await asyncpg.connect(server)
    await connection.execute("TRUNCATE orders, executions, amendments, prevented_matches, projection")
    await prepare(connection)
    yield connection
    await connection.close()


async def write(connection: Any, batches: Sequence[Batch]) -> int:
    models = ReadModels(SYMBOLS, QUIET)
    for batch in batches:
        models.add(batch)
    models.positions["book-0"] = batches[-1].seq
    return await models.write(connection, "test")


def whole(row: Any) -> Row:
    """Nulls as the queries tell them."""
    absent = {"working_ns": row["created_ns"]}
    return {name: absent.get(name, 0) if value is None else value for name, value in row.items()}


async def stored(connection: Any) -> Expected:
    orders = [whole(row) for row in await connection.fetch("SELECT * FROM orders")]
    amendments = await connection.fetch("SELECT * FROM amendments ORDER BY ts_ns, symbol, exec_id")
    prevented = await connection.fetch("SELECT * FROM prevented_matches ORDER BY ts_ns, symbol, prevented_match_id")
    return Expected(
        {one["order_id"]: one for one in orders}, [dict(r) for r in amendments], [dict(r) for r in prevented]
    )


def assert_equal(got: Expected, expected: Expected) -> None:
    for order_id, order in expected.orders.items():
        assert got.orders[order_id] == order
    assert got.orders.keys() == expected.orders.keys()
    assert got.amendments == sorted(expected.amendments, key=lambda one: (one["ts_ns"], one["symbol"], one["exec_id"]))
    by_id = sorted(expected.prevented, key=lambda one: (one["ts_ns"], one["symbol"], one["prevented_match_id"]))
    assert got.prevented == by_id


@pytest.mark.parametrize(("seed", "batches_at_once"), [(1, 1), (2, 7), (3, 10_000)])
async def test_all_that_the_engine_tells(connection: Any, seed: int, batches_at_once: int) -> None:
    dice = random.Random(seed)
    batches = batches_of(two_markets(seed, 1500), iter(lambda: dice.choice((2, 40, 200)), 0))
    kinds_told = {int(kind) for batch in batches for kind in batch.events["kind"]}
    assert kinds_told == set(EventKind) - {EventKind.QUEUED}, "that takes a venue"
    for at in range(0, len(batches), batches_at_once):
        await write(connection, batches[at : at + batches_at_once])
    expected = naive(batches)
    assert_equal(await stored(connection), expected)
    assert any(one["prevented_lots"] for one in expected.orders.values())
    assert any(one["list_role"] == ListRole.OCO_SECOND for one in expected.orders.values())
    assert any(one["orig_client_order_id"] != one["new_client_order_id"] for one in expected.amendments)


async def test_a_run_twice_is_a_run_once(connection: Any) -> None:
    """The position in the same transaction tells."""
    (batch,) = batches_of(two_markets(5, 300), iter(lambda: 1000, 0))
    assert await write(connection, [batch]) > 0
    before = await stored(connection)
    assert await write(connection, [batch]) == 0
    assert await stored(connection) == before


async def test_rows_that_are_there_against_all_that_is_known_stay(connection: Any) -> None:
    (batch,) = batches_of(two_markets(5, 300), iter(lambda: 1000, 0))
    await write(connection, [batch])
    before = await stored(connection)
    await connection.execute("TRUNCATE projection")
    models = ReadModels(SYMBOLS, QUIET)
    models.add(batch)
    models.positions["book-0"] = batch.seq
    with pytest.raises(asyncpg.UniqueViolationError):
        await models.write(connection, "test")
    await models.write(connection, "test")
    after = await stored(connection)
    assert (after.amendments, after.prevented, after.orders.keys()) == (
        before.amendments, before.prevented, before.orders.keys(),
    )  # fmt: skip


@pytest.mark.parametrize("units", [0, (1 << 62) - 1])
async def test_amounts_of_any_size_and_names_of_any_length(connection: Any, units: int) -> None:
    names = [b"", b"a", b"x" * 36]
    columns: dict[str, Any] = {name: np.zeros(3, np.int64) for name in _FIXED}
    columns |= {"order_id": np.arange(3) + 5, "symbol": np.array([OTHER, ONE, OTHER]), "account": np.full(3, ALICE)}
    columns |= {"client_order_id": np.array(names, "S40"), "cum_quote_units": np.array([units, 0, units])}
    await copy_orders(connection, columns, NAMES)
    rows = await connection.fetch("SELECT order_id, symbol, client_order_id, cum_quote_units FROM orders ORDER BY 1")
    assert [tuple(row) for row in rows] == [
        (5, NAMES[OTHER], "", units), (6, NAMES[ONE], "a", 0), (7, NAMES[OTHER], "x" * 36, units),
    ]  # fmt: skip


# -- by hand ----------------------------------------------------------------------------------------------------------


def bystanders(price: int, order_id: int) -> list[Row]:
    return [limit(order_id, BOB, SELL, 1, price), limit(order_id + 1, CAROL, BUY, 1, price)]


async def told(connection: Any, *steps: Sequence[Row]) -> dict[int, Row]:
    """Each step in a batch and a flush of its own, a microsecond after the one before."""
    rows = [row for step in steps for row in step]
    sizes = iter([len(step) for step in steps])
    for batch in batches_of(commands(rows), sizes):
        await write(connection, [batch])
    return {row["order_id"]: whole(row) for row in await connection.fetch("SELECT * FROM orders")}


async def test_a_stop_waits_then_works(connection: Any) -> None:
    """And a trailing one tracks from its activation price, or from the start."""
    orders = await told(
        connection,
        bystanders(100, 91),
        [
            stop_limit(1, ALICE, SELL, 5, 89, 95),
            stop_market(2, ALICE, SELL, 5, 98, trailing_bips=500),
            stop_market(3, ALICE, SELL, 5, 0, trailing_bips=9000),
            stop_limit(4, ALICE, BUY, 5, 0, 120, peg_type=PegType.PRIMARY_PEG),
        ],
        [limit(93, CAROL, BUY, 1, 98), limit(94, BOB, SELL, 1, 98)],
        [limit(95, CAROL, BUY, 1, 95), limit(96, BOB, SELL, 1, 95)],
        [cancel(1, ALICE), limit(99, CAROL, BUY, 7, 80), limit(97, CAROL, BUY, 1, 120), limit(98, BOB, SELL, 1, 120)],
    )
    at = [START_NS + 1000 * k for k in range(6)]
    assert (orders[1]["working_ns"], orders[1]["tracking_ns"], orders[1]["created_ns"]) == (at[4], 0, at[2])
    assert (orders[2]["tracking_ns"], orders[2]["working_ns"]) == (at[3], 0)
    assert (orders[3]["tracking_ns"], orders[3]["working_ns"]) == (at[2], 0)
    assert (orders[4]["working_ns"], orders[4]["price_ticks"], orders[4]["peg_type"]) == (at[5], 80, 1)
    assert orders[99]["working_ns"] == orders[99]["created_ns"] == at[5]


async def test_what_self_trade_prevention_costs(connection: Any) -> None:
    both = {"stp_mode": StpMode.EXPIRE_BOTH}
    orders = await told(
        connection,
        [limit(1, ALICE, SELL, 6, 101), limit(2, ALICE, SELL, 3, 102), limit(3, ALICE, SELL, 2, 103)],
        [limit(4, ALICE, BUY, 2, 101, stp_mode=StpMode.DECREMENT)],
        [limit(5, ALICE, BUY, 9, 101, stp_mode=StpMode.EXPIRE_MAKER)],
        [market(6, ALICE, BUY, 7, stp_mode=StpMode.EXPIRE_TAKER)],
        [limit(7, ALICE, BUY, 5, 102, **both)],
        [limit(8, 4, SELL, 5, 103, **both), limit(9, 4, BUY, 5, 103, **both)],
    )
    lost = {key: (row["prevented_lots"], row["prevented_match_id"]) for key, row in orders.items()}
    assert lost == {1: (6, 2), 2: (3, 4), 3: (0, 0), 4: (2, 1), 5: (0, 0), 6: (7, 3), 7: (5, 4)}
    rows = await connection.fetch(
        "SELECT prevented_match_id, taker_order_id, maker_order_id, stp_mode, price_ticks, taker_prevented_lots, "
        "maker_prevented_lots FROM prevented_matches WHERE account = $1 ORDER BY prevented_match_id", ALICE,
    )  # fmt: skip
    assert [tuple(row) for row in rows] == [
        (1, 4, 1, StpMode.DECREMENT, 101, 2, 2),
        (2, 5, 1, StpMode.EXPIRE_MAKER, 101, 0, 4),
        (3, 6, 2, StpMode.EXPIRE_TAKER, 102, 7, 0),
        (4, 7, 2, StpMode.EXPIRE_BOTH, 102, 5, 3),
    ]
    assert await connection.fetchval("SELECT count(*) FROM prevented_matches") == 4, "the fifth was a quiet account's"


async def test_names_through_amendments(connection: Any) -> None:
    """One by one, several in a run, by the order's name, of a pair."""
    first, second = pair(
        maker_only(2, ALICE, SELL, 9, 110, client_order_id=b"far"),
        stop_limit(3, ALICE, SELL, 9, 89, 90, client_order_id=b"near"),
        list_id=77,
    )
    by_name = {"flags": CommandFlag.BY_CLIENT_ORDER_ID}
    orders = await told(
        connection,
        bystanders(100, 91),
        [
            limit(1, ALICE, BUY, 9, 50, client_order_id=b"one"),
            first,
            second,
            amend(1, ALICE, 8) | {"client_order_id": b"two"},
        ],
        [amend(1, ALICE, 7)],
        [
            amend(1, ALICE, 6) | {"client_order_id": b"two"} | by_name,
            amend(1, ALICE, 5) | {"client_order_id": b"three"},
            amend(1, ALICE, 4),
            amend(3, ALICE, 4) | {"client_order_id": b"nearer"},
        ],
        [amend(1, ALICE, 4), cancel(1, ALICE, client_order_id=b"no name")],
    )
    assert {key: orders[key]["client_order_id"] for key in (1, 2, 3)} == {1: "three", 2: "far", 3: "nearer"}
    assert {key: (orders[key]["list_id"], orders[key]["list_role"]) for key in (1, 2, 3)} == {
        1: (0, 0), 2: (77, ListRole.OCO_FIRST), 3: (77, ListRole.OCO_SECOND),
    }  # fmt: skip
    rows = await connection.fetch("SELECT * FROM amendments ORDER BY order_id, exec_id")
    assert [tuple(row)[2:3] + tuple(row)[4:8] for row in rows] == [
        (1, "one", "two", 9, 8),
        (1, "two", "two", 8, 7),
        (1, "two", "two", 7, 6),
        (1, "two", "three", 6, 5),
        (1, "three", "three", 5, 4),
        (2, "far", "far", 9, 4),
        (3, "near", "nearer", 9, 4),
    ]


async def test_plain_orders_take_no_room(connection: Any) -> None:
    await told(connection, bystanders(100, 91))
    rows = await connection.fetch("SELECT * FROM orders")
    assert {row[name] for row in rows for name in (*TERMS, "prevented_lots", "working_ns", "tracking_ns")} == {None}


def test_plain_orders_are_not_rare() -> None:
    flow = commands([limit(k, 1 + k % 3, Side(k % 2), 5, 100 + k % 7) for k in range(1, 200)])
    (batch,) = batches_of(flow, iter([len(flow)]))
    assert rare_of(batch.events, batch.commands, np.full(len(batch.events), batch.ts_ns)) is None


async def test_the_server_that_writes_read_models_gives_way(connection: Any, server: str) -> None:
    server_gives_way(connection, server, 7)
    assert os.getpriority(os.PRIO_PROCESS, connection.get_server_pid()) == 7
    server_gives_way(connection, server.replace("host=%2F", "host=elsewhere"), 9)
    assert os.getpriority(os.PRIO_PROCESS, connection.get_server_pid()) == 7


async def test_balances_that_there_are_or_were_are_written_and_equity_is_exact(connection: Any) -> None:
    ledger = Ledger(SYMBOLS, 0, 1)
    one, quote = SYMBOLS[ONE], ledger.asset_ids[SYMBOLS[ONE].quote.name]
    base = ledger.asset_ids[one.base.name]
    accounts = range(100, 100 + 2 * AT_ONCE)
    service: Any = SimpleNamespace(ledger=ledger, quiet={accounts[0]})
    writer = BalanceWriter(Settings(data_dir="", run_dir="", pg_dsn="", redis_url="", symbols=len(SYMBOLS)), service)
    for account in accounts:
        ledger.open(account, 0, 0)
        writer.mark(ledger.post(account, quote, account, 1))
        writer.mark(ledger.post(account, base, 3 * one.base_units_per_lot + 1, 1))
    ledger.set_last_price(ONE, 7)
    await writer._flush(connection)
    rows = await connection.fetch("SELECT account, asset, free_units FROM balances")
    assert len(rows) == len(ledger.assets) * (len(accounts) - 1)  # of each account everything, once
    held = {row["asset"]: row["free_units"] for row in rows if row["account"] == 101 and row["free_units"]}
    assert held == {one.quote.name: 101, one.base.name: 3 * one.base_units_per_lot + 1}
    await writer._write_equity(connection, 1)
    found = dict(await connection.fetch("SELECT account, quote_units FROM equity"))
    assert found == {account: account + 3 * 7 * one.quote_units_per_tick_lot for account in accounts[1:]}
    await connection.execute("DELETE FROM balances")
    writer.mark(ledger.post(101, quote, -101, 2))
    await writer._flush(connection)
    rows = await connection.fetch("SELECT asset, free_units FROM balances WHERE account = 101")
    assert dict(rows) == {one.quote.name: 0, one.base.name: 3 * one.base_units_per_lot + 1}
