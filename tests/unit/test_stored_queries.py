"""Questions about own orders that the tables answer, over what the engine told; the account adds what is newest."""

import asyncio
import shutil
import time
from collections.abc import AsyncIterator, Iterator
from types import SimpleNamespace
from typing import Any

import asyncpg
import numpy as np
import pytest
from msgspec import UNSET

from actors.read_models import prepare
from deploy.migrate import migrate
from deploy.postgres import EmbeddedPostgres
from market.enums import Contingency, ExecType, ListRole, ListStatus, StpMode
from market.instrument import assets_of
from market.records import REPORT, REPORT_MAKER
from serve.binance import queries
from serve.binance.context import MILLISECOND_NS, Context
from serve.binance.errors import BinanceError
from serve.binance.numbers import Scale
from serve.binance.queries import StoredList, stored_list, stored_lists
from serve.orders import OrderDesk
from tests.reference.build import amend, commands, limit, maker_only, pair, stop_market
from tests.unit.test_order_tables import (
    ALICE,
    BOB,
    BUY,
    ONE,
    SELL,
    START_NS,
    SYMBOLS,
    batches_of,
    bystanders,
    write,
)

NAME = SYMBOLS[ONE].symbol
DESK = OrderDesk(SYMBOLS, assets_of(SYMBOLS))
SCALE = Scale(DESK.terms[ONE])
QTY, PRICE = SCALE.quantity, SCALE.price


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    folder = tmp_path_factory.mktemp("queries")
    server = EmbeddedPostgres(folder / "data")
    try:
        dsn = server.start()
        asyncio.run(fill(dsn))
        yield dsn
    finally:
        server.stop()
        shutil.rmtree(folder)


STEPS = [
    bystanders(100, 91),
    [
        limit(1, ALICE, SELL, 6, 101, client_order_id=b"one"),
        *pair(
            maker_only(2, ALICE, SELL, 9, 110, client_order_id=b"far"),
            stop_market(3, ALICE, SELL, 9, 90, client_order_id=b"near"),
            list_id=77,
        ),
    ],
    [amend(1, ALICE, 5) | {"client_order_id": b"two"}],
    [amend(1, ALICE, 4)],
    [limit(4, ALICE, BUY, 1, 101, stp_mode=StpMode.DECREMENT)],
    [limit(5, ALICE, BUY, 2, 101, stp_mode=StpMode.EXPIRE_TAKER)],
    [limit(6, BOB, BUY, 2, 101), limit(7, BOB, BUY, 9, 110)],
    [limit(8, BOB, BUY, 1, 95, stp_mode=StpMode.TRANSFER), limit(9, BOB, SELL, 1, 95, stp_mode=StpMode.TRANSFER)],
    [limit(10, BOB, BUY, 1, 95), limit(11, BOB, SELL, 1, 95, stp_mode=StpMode.TRANSFER)],
]
AT = [START_NS + 1000 * k for k in range(len(STEPS) + 1)]
LISTS = [(30 + k, Contingency(k % 2), f"list{k // 2}", ListStatus(k % 2), START_NS + 10**9 * k) for k in range(6)]


async def fill(dsn: str) -> None:
    await migrate(dsn)
    connection = await asyncpg.connect(dsn)
    await prepare(connection)
    for batch in batches_of(commands([row for step in STEPS for row in step]), iter([len(step) for step in STEPS])):
        await write(connection, [batch])
    for account in (ALICE, BOB):
        await connection.executemany(
            "INSERT INTO order_lists VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10)",
            [(account, one, NAME, kind, name, status, at, at + 1, [one, one + 1], ["a", f"b{account}"])
             for one, kind, name, status, at in LISTS],
        )  # fmt: skip
    await connection.close()


class Account:
    """In the place of the gateway: what the account knows that the tables do not."""

    def __init__(self, pool: Any) -> None:
        self.pool = pool
        self.reports = np.zeros(0, REPORT)

    def account_of(self, user_id: int) -> int:
        return user_id

    def now_ns(self) -> int:
        return time.time_ns()

    async def ask(self, account: int, method: str, _: int, what: int) -> bytes:
        assert account == ALICE
        of = self.reports["order_id"] == what if method == "reports_of" else self.reports["ts_ns"] > 0
        return self.reports[of].tobytes()


@pytest.fixture
async def ctx(server: str) -> AsyncIterator[Context]:
    connection = await asyncpg.connect(server)
    scales = {ONE: SCALE}
    venue: Any = SimpleNamespace(gateway=Account(connection), scale_of=lambda terms: scales[terms.symbol_id])
    key: Any = SimpleNamespace(user_id=ALICE)
    yield Context(venue, "127.0.0.1", MILLISECOND_NS // 1000, key)
    await connection.close()


def report(**fields: Any) -> Any:
    made = np.zeros(1, REPORT)
    for name, value in ({"symbol": ONE, "account": ALICE} | fields).items():
        made[name] = value
    return made


async def test_an_order_with_all_its_terms(ctx: Context) -> None:
    three, five = await ctx.venue.gateway.pool.fetch(
        queries._ORDERS + "AND order_id = ANY($3) ORDER BY order_id", ALICE, NAME, [3, 5]
    )
    one = queries.Stored(*three)
    assert (one.stop_price_ticks, one.list_id, one.list_role, one.working_ns) == (90, 77, ListRole.OCO_SECOND, 0)
    one = queries.Stored(*five)
    assert (one.prevented_lots, one.prevented_match_id, one.working_ns) == (2, 2, AT[6])


async def test_trades_tell_the_list_of_their_order(ctx: Context) -> None:
    ask = queries.MyTrades(symbol=DESK.terms[ONE])
    told = await queries.my_trades(ctx, ask)
    assert [(one.orderId, one.orderListId, one.qty, one.isMaker) for one in told] == [
        (1, -1, QTY[2], True),
        (1, -1, QTY[1], True),
        (2, 77, QTY[8], True),
    ]
    newest = report(
        exec_type=ExecType.TRADE, order_id=8, list_id=78, trade_id=99, flags=REPORT_MAKER, last_qty_lots=3,
        ts_ns=AT[-1], side=SELL,
    )  # fmt: skip
    ctx.venue.gateway.reports = newest  # type: ignore[attr-defined]
    assert [(one.orderId, one.orderListId) for one in await queries.my_trades(ctx, ask)][-1] == (8, 78)


async def test_amendments_back_to_the_first(ctx: Context) -> None:
    ask = queries.Amendments(symbol=DESK.terms[ONE], orderId=1)
    stored = await queries.amendments(ctx, ask)
    assert [(a.origClientOrderId, a.newClientOrderId, a.origQty, a.newQty) for a in stored] == [
        ("one", "two", QTY[6], QTY[5]), ("two", "two", QTY[5], QTY[4]),
    ]  # fmt: skip
    assert [a.time for a in stored] == [ctx.told(AT[3]), ctx.told(AT[4])]
    first, second = (a.executionId for a in stored)
    known = report(exec_type=ExecType.REPLACED, order_id=1, exec_id=second, qty_lots=4, client_order_id=b"two")
    new = report(exec_type=ExecType.REPLACED, order_id=1, exec_id=second + 9, qty_lots=3, client_order_id=b"three")
    ctx.venue.gateway.reports = np.concatenate((known, new))  # type: ignore[attr-defined]
    told = await queries.amendments(ctx, ask)
    assert told[:2] == stored
    assert (told[2].origClientOrderId, told[2].newClientOrderId, told[2].newQty) == ("two", "three", QTY[3])
    ask = queries.Amendments(symbol=DESK.terms[ONE], orderId=1, fromExecutionId=first + 1, limit=1)
    assert [a.executionId for a in await queries.amendments(ctx, ask)] == [second]
    assert await queries.amendments(ctx, queries.Amendments(symbol=DESK.terms[ONE], orderId=6)) == []


async def test_prevented_matches(ctx: Context) -> None:
    symbol = DESK.terms[ONE]

    async def found(**fields: Any) -> list[int]:
        told = await queries.prevented_matches(ctx, queries.PreventedMatches(symbol=symbol, **fields))
        return [one.preventedMatchId for one in told]

    assert await found(preventedMatchId=1) == [1]
    assert await found(preventedMatchId=3) == [], "of another account"
    assert await found(orderId=1) == [1, 2]
    assert await found(orderId=1, limit=1) == [1]
    assert await found(orderId=1, fromPreventedMatchId=2) == [2]
    assert await found(orderId=5) == [2]
    with pytest.raises(BinanceError):
        await found(orderId=5, preventedMatchId=2)
    decremented, expired = await queries.prevented_matches(ctx, queries.PreventedMatches(symbol=symbol, orderId=1))
    assert (decremented.takerPreventedQuantity, decremented.makerPreventedQuantity) == (QTY[1], QTY[1])
    assert (expired.takerPreventedQuantity, expired.makerPreventedQuantity) == (QTY[2], UNSET)
    assert (expired.takerOrderId, expired.makerOrderId, expired.price) == (5, 1, PRICE[101])
    assert (expired.tradeGroupId, expired.selfTradePreventionMode) == (-1, "EXPIRE_TAKER")
    assert expired.transactTime == ctx.told(AT[6])


async def test_the_mode_of_a_prevented_match_is_the_one_in_effect(ctx: Context) -> None:
    rows = await ctx.venue.gateway.pool.fetch(queries._PREVENTED + "ORDER BY prevented_match_id", BOB, NAME)
    assert [(row["taker_order_id"], row["stp_mode"]) for row in rows] == [
        (9, StpMode.TRANSFER), (11, StpMode.DECREMENT),
    ]  # fmt: skip


async def test_lists(ctx: Context) -> None:
    pool = ctx.venue.gateway.pool
    first = StoredList(
        30, NAME, Contingency.OCO, "list0", ListStatus.EXECUTING, START_NS, START_NS + 1, [(30, "a"), (31, "b1")]
    )  # fmt: skip
    assert await stored_list(pool, ALICE, 30) == first
    assert await stored_list(pool, ALICE, 29) is None
    assert await stored_list(pool, ALICE, "list9") is None
    newest = await stored_list(pool, ALICE, "list1")
    assert newest is not None
    assert newest.list_id == 33

    async def ids(from_id: int | None, start_ns: int | None, end_ns: int | None, limit: int) -> list[int]:
        return [one.list_id for one in await stored_lists(pool, ALICE, from_id, start_ns, end_ns, limit)]

    assert await ids(None, None, None, 500) == [30, 31, 32, 33, 34, 35]
    assert await ids(None, None, None, 2) == [34, 35]
    assert await ids(32, None, None, 2) == [32, 33]
    assert await ids(None, LISTS[1][4], None, 2) == [31, 32]
    assert await ids(None, LISTS[1][4], LISTS[2][4], 9) == [31, 32]
    assert await ids(None, None, LISTS[2][4], 2) == [31, 32]
