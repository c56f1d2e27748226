"""Why orders were filled as they were: a venue's book and trades, users' orders in its queues, told from PostgreSQL."""

import asyncio
import shutil
from collections.abc import AsyncIterator, Iterator, Sequence
from types import SimpleNamespace
from typing import Any

import asyncpg
import pytest

from actors.live_market import LiveMarket
from actors.projector import ProjectorService
from actors.read_models import ReadModels, prepare
from actors.wire import Batch
from deploy.migrate import migrate
from deploy.postgres import EmbeddedPostgres
from market.book import Book, Books
from market.enums import FILL_MODEL_BIT, CommandKind, Counterparty, FillModel, TimeInForce
from market.instrument import assets_of
from market.numbering import OUTSIDE_ACCOUNT
from serve.api.trading import TradingApi
from serve.errors import ApiError, Code
from serve.explain_schema import ExplainedFill, Explanation, QueueFigures, VenuePrint
from serve.orders import OrderDesk
from tests.reference.build import commands, limit, stop_limit
from tests.unit.test_conditional_orders import WIDE
from tests.unit.test_order_tables import ALICE, BOB, BUY, ONE, OTHER, SELL, START_NS, SYMBOLS, Row

DESK = OrderDesk(SYMBOLS, assets_of(SYMBOLS))
TERMS = DESK.terms[ONE]
LOTS, TICKS = TERMS.lots, TERMS.ticks
P = 100
VENUE_NS = 7_000
"""The venue's clock is so much behind ours."""


def venue(kind: str, at: int, side: Any = BUY, price: int = 0, qty: int = 0, token: int = 0) -> Row:
    """Heard `at` ns after the start."""
    at_ns = START_NS + at
    return {
        "kind": CommandKind["OUTSIDE_" + kind], "account": OUTSIDE_ACCOUNT, "side": side, "price_ticks": price,
        "qty_lots": qty, "target_id": at_ns, "token": token, "symbol": ONE,
        "quote_units": at_ns - VENUE_NS if kind == "TRADE" else 0,
    }  # fmt: skip


def model(one: FillModel) -> dict[str, int]:
    return {"flags": one << FILL_MODEL_BIT}


STEPS: list[list[Row]] = [
    # Batch k is made 1000 x k ns after the start; what a venue caused happened before that.
    [venue("LEVEL", 900, BUY, P, 10), venue("LEVEL", 901, SELL, P + 5, 9), venue("LEVEL", 902, BUY, P - 1, 4)],
    [
        limit(1, ALICE, BUY, 3, P),
        limit(2, ALICE, BUY, 2, P + 2, **model(FillModel.THROUGH)),
        limit(3, BOB, BUY, 4, P, **model(FillModel.BACK)),
    ],
    [venue("TRADE", 2500, SELL, P + 2, 1, token=41)],
    [venue("TRADE", 3500, SELL, P, 6, token=42)],
    [venue("LEVEL", 4500, BUY, P, 4), venue("LEVEL", 4501, BUY, P, 3)],
    [venue("TRADE", 5500, SELL, P, 4, token=43), venue("TRADE", 5501, SELL, P, 1, token=44)],
    [limit(4, ALICE, SELL, 1, P, time_in_force=TimeInForce.IOC)],
    [limit(5, BOB, BUY, 2, P + 5)],
    [venue("QUOTE", 8500, SELL, P - 1, 50)],
    [
        stop_limit(6, ALICE, BUY, 1, P + 30, P + 20),
        limit(7, ALICE, BUY, 1, P - 5),
        limit(8, ALICE, SELL, 1, P - 1),
        limit(9, ALICE, BUY, 1, P, symbol=OTHER),
        limit(10, ALICE, SELL, 1, P + 5, **model(FillModel.TOUCH)),
    ],
    [venue("LEVEL", 10500, SELL, P - 1, 40)],
]


def batches() -> list[Batch]:
    books, made = Books({k: Book(WIDE, k) for k in (ONE, OTHER)}), []
    for k, step in enumerate(STEPS, 1):
        taken = commands(step)
        made.append(Batch(0, 1, k, START_NS + 1000 * k, taken, books.apply(taken)))
    return made


async def write(dsn: str, run: Sequence[Batch], at_once: int) -> None:
    connection = await asyncpg.connect(dsn)
    await prepare(connection)
    market = LiveMarket(SYMBOLS)
    for at in range(0, len(run), at_once):
        models = ReadModels(SYMBOLS, set())
        for batch in run[at : at + at_once]:
            models.add(batch)
        models.add_tape(market.follow_tape(run[at : at + at_once]))
        models.positions["book-0"] = run[min(at + at_once, len(run)) - 1].seq
        await models.write(connection, "test")
    await connection.close()


@pytest.fixture(scope="module", params=[1, 100])
def server(request: Any, tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    folder = tmp_path_factory.mktemp("explain")
    server = EmbeddedPostgres(folder / "data")
    try:
        dsn = server.start()
        asyncio.run(migrate(dsn))
        asyncio.run(write(dsn, batches(), request.param))
        yield dsn
    finally:
        server.stop()
        shutil.rmtree(folder)


class Gateway:
    """In the place of the gateway: the tables, and the projector's books."""

    desk = DESK

    def __init__(self, pool: Any) -> None:
        self.pool = pool
        self._market = LiveMarket(SYMBOLS)
        self._market.books.update({k: Book(WIDE, k) for k in (ONE, OTHER)})
        self._market.apply(batches(), set())

    def account_of(self, user_id: int) -> int:
        return user_id

    async def order_latency(self, account: int, order_id: int) -> int | None:
        return None

    async def queue_now(self, symbol: int, order_id: int) -> dict[str, Any]:
        projector: Any = SimpleNamespace(market=self._market)
        return await ProjectorService.queue(projector, symbol, order_id)


@pytest.fixture
async def gateway(server: str) -> AsyncIterator[Any]:
    connection = await asyncpg.connect(server)
    yield Gateway(connection)
    await connection.close()


async def explained(gateway: Any, account: int, order_id: int) -> Explanation:
    ctx: Any = SimpleNamespace(user=SimpleNamespace(user_id=account), params=SimpleNamespace(order_id=order_id))
    return await TradingApi(gateway).explain(ctx)


def figures(at: int | None, ahead: int, by_trades: int, by_cancels: int) -> QueueFigures:
    return QueueFigures(None if at is None else START_NS + at, LOTS[ahead], LOTS[by_trades], LOTS[by_cancels])


def shown(one: ExplainedFill) -> tuple[Any, ...]:
    return one.at_ns - START_NS, one.price, one.quantity, one.liquidity, one.counterparty


def prints(one: ExplainedFill) -> list[tuple[Any, ...]]:
    return [(p.trade_id, p.venue_trade_id, p.quantity, p.filled_a_user) for p in one.prints]


async def test_the_queue_of_an_order_until_its_fills(gateway: Any) -> None:
    told = await explained(gateway, ALICE, 1)
    assert (told.fill_model, told.entry, told.entered_ns) == ("PROPORTIONAL", "QUEUED", START_NS + 2000)
    assert told.queue_on_entry == figures(2000, 10, 0, 0)
    assert (told.status, told.queue_now, told.latency_ns) == ("FILLED", None, None)
    first, second, third = told.fills
    # Of 10 ahead 4 traded and 3 were canceled; then 4 trade.
    assert shown(first) == (5500, TICKS[P], LOTS[1], "MAKER", "VENUE_PRINT")
    assert first.queue == figures(5500, 0, 7, 3)
    assert prints(first) == [(3, 42, LOTS[4], False), (4, 43, LOTS[1], True)]
    assert first.prints[0] == VenuePrint(3, 42, LOTS[4], START_NS + 3500, START_NS + 3500 - VENUE_NS, False)
    assert shown(second) == (5501, TICKS[P], LOTS[1], "MAKER", "VENUE_PRINT")
    assert prints(second) == [(5, 43, LOTS[3], False), (6, 44, LOTS[1], True)]
    assert (shown(third), prints(third)) == ((7000, TICKS[P], LOTS[1], "MAKER", "USER"), [])
    taker = await explained(gateway, ALICE, 4)
    assert (taker.entry, taker.fills[0].counterparty, taker.fills[0].queue) == ("NOT_RESTED", "USER", None)


async def test_where_the_venue_showed_nothing(gateway: Any) -> None:
    told = await explained(gateway, ALICE, 2)
    assert (told.fill_model, told.entry, told.queue_on_entry) == ("THROUGH", "NOTHING_SHOWN", None)
    (fill,) = told.fills
    assert shown(fill) == (3500, TICKS[P + 2], LOTS[2], "MAKER", "VENUE_PRINT")
    assert fill.queue is None
    assert prints(fill) == [(1, 41, LOTS[1], False), (2, 42, LOTS[2], True)]
    assert (await explained(gateway, ALICE, 7)).entry == "NOTHING_SHOWN"


async def test_a_quote_that_crosses_and_liquidity_that_is_taken(gateway: Any) -> None:
    told = await explained(gateway, BOB, 3)
    (fill,) = told.fills
    assert told.fill_model == "BACK"
    assert shown(fill) == (8500, TICKS[P], LOTS[4], "MAKER", "VENUE_QUOTE")
    assert fill.queue == figures(8500, 0, 4, 6)
    assert [one.venue_trade_id for one in fill.prints] == [42, 43, 43, 44]
    told = await explained(gateway, BOB, 5)
    assert (told.entry, [shown(one)[2:] for one in told.fills]) == (
        "NOT_RESTED", [(LOTS[2], "TAKER", "OUTSIDE_LIQUIDITY")],
    )  # fmt: skip


async def test_orders_that_rest_or_wait(gateway: Any) -> None:
    told = await explained(gateway, ALICE, 8)
    assert (told.queue_on_entry, told.queue_now, told.fills) == (figures(10000, 46, 0, 0), figures(None, 36, 0, 10), [])
    told = await explained(gateway, ALICE, 6)
    assert (told.entry, told.entered_ns, told.queue_now) == ("NOT_RESTED", None, None)
    told = await explained(gateway, ALICE, 9)
    assert (told.entry, told.queue_now) == ("NO_OUTSIDE_LIQUIDITY", None)


async def test_nobody_is_ahead_by_a_model_where_the_venue_showed_something(gateway: Any) -> None:
    told = await explained(gateway, ALICE, 10)
    assert (told.fill_model, told.entry, told.queue_on_entry) == ("TOUCH", "QUEUED", figures(10000, 0, 0, 0))


async def test_only_own_orders(gateway: Any) -> None:
    with pytest.raises(ApiError) as error:
        await explained(gateway, BOB, 1)
    assert error.value.code == Code.UNKNOWN_ORDER


async def test_the_outside_has_no_rows_but_in_the_tape(gateway: Any) -> None:
    fetch = gateway.pool.fetch
    assert await fetch("SELECT FROM orders WHERE account < 0 OR order_id <= 0") == []
    assert await fetch("SELECT FROM executions WHERE account < 0 OR order_id <= 0") == []
    rows = await fetch("SELECT trade_id, agg_id, is_outside, venue_trade_id, ts_ns FROM trades ORDER BY trade_id")
    assert [(row["trade_id"], row["is_outside"], row["venue_trade_id"]) for row in rows] == [
        (1, True, 41), (2, False, 42), (3, True, 42), (4, False, 43), (5, True, 43), (6, False, 44), (7, False, None),
        (8, False, None), (9, False, None),
    ]  # fmt: skip
    assert [row["agg_id"] for row in rows] == [1, 2, 3, 4, 4, 5, 6, 7, 8]
    assert [row["ts_ns"] - START_NS for row in rows] == [2500, 3500, 3500, 5500, 5500, 5501, 7000, 8000, 8500]
    counterparties = await fetch("SELECT counterparty FROM executions ORDER BY trade_id, is_maker")
    assert [row["counterparty"] for row in counterparties] == [
        Counterparty.VENUE_PRINT, Counterparty.VENUE_PRINT, Counterparty.VENUE_PRINT, Counterparty.USER,
        Counterparty.USER, Counterparty.OUTSIDE_LIQUIDITY, Counterparty.VENUE_QUOTE,
    ]  # fmt: skip
    candle = await gateway.pool.fetchrow("SELECT trades, volume_lots FROM candles WHERE width_s = 60")
    assert tuple(candle) == (9, 1 + 2 + 4 + 1 + 3 + 1 + 1 + 2 + 4)
