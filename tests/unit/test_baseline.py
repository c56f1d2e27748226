"""The baseline that Raypit is compared with does what an exchange must: orders match, nobody's money appears or goes."""

import json
from collections.abc import AsyncIterator, Iterator
from decimal import Decimal
from pathlib import Path
from typing import Any

import asyncpg
import pytest

pytest.importorskip("fastapi", reason="pip install raypit[bench]")
from bench.baseline.orders import Orders
from bench.baseline.rules import FEE_PPM, OrderRequest, Refusal, checked, markets_of
from bench.baseline.server import _filled
from deploy.postgres import EmbeddedPostgres
from market.instrument import PPM
from market.universe import instruments

LISTED = instruments(2)
MARKETS = markets_of(LISTED)
LAST = [one.start_price_ticks for one in LISTED]
ALICE, BOB = 1, 2


@pytest.fixture(scope="module")
def dsn(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    server = EmbeddedPostgres(Path(tmp_path_factory.mktemp("baseline")) / "data")
    try:
        yield server.start()
    finally:
        server.stop()


@pytest.fixture
async def pool(dsn: str) -> AsyncIterator[Any]:
    connection = await asyncpg.connect(dsn)
    await connection.execute("DROP SCHEMA public CASCADE; CREATE SCHEMA public")
    await connection.close()
    await _filled(dsn, 3, LISTED)
    async with asyncpg.create_pool(dsn, min_size=2, max_size=4) as made:
        yield made


async def place(pool: Any, account: int, text: str, name: str, quantity: str = "1") -> Any:
    """`text`: BUY 100.00 GTC."""
    side, price, time_in_force = text.split()
    request = OrderRequest.model_validate_json(json.dumps({
        "symbol": "ETHUSDT", "side": side, "price": price, "quantity": quantity, "time_in_force": time_in_force,
        "client_order_id": name,
    }))  # fmt: skip
    return await Orders(pool, list(MARKETS.values())).place(account, checked(request, MARKETS, LAST))


async def money(pool: Any) -> tuple[int, list[tuple[int, int]]]:
    """What is locked, and the sum of each asset with the fees that were taken off it."""
    rows = await pool.fetch(
        "SELECT asset, sum(free + locked)::bigint AS held FROM balances GROUP BY asset ORDER BY asset"
    )
    locked = await pool.fetchval("SELECT sum(locked)::bigint FROM balances")
    return locked, [(row["asset"], row["held"]) for row in rows]


async def test_orders_match_by_price_and_time_and_the_balances_add_up(pool: Any) -> None:
    _, before = await money(pool)
    await place(pool, ALICE, "SELL 3300.00 GTC", "a1")
    await place(pool, ALICE, "SELL 3299.00 GTC", "a2")
    await place(pool, ALICE, "SELL 3299.00 GTC", "a3")
    bought = await place(pool, BOB, "BUY 3300.00 IOC", "b1", "2.5")
    assert [(one.price, one.qty, one.maker_leaves) for one in bought.fills] == [
        (329_900, 10_000, 0), (329_900, 10_000, 0), (330_000, 5_000, 5_000),
    ]  # fmt: skip
    assert bought.status == "FILLED"
    names = await pool.fetch("SELECT client_order_id, status, leaves FROM orders ORDER BY id")
    assert [tuple(row) for row in names] == [
        ("a1", "PARTIALLY_FILLED", 5_000), ("a2", "FILLED", 0), ("a3", "FILLED", 0), ("b1", "FILLED", 0),
    ]  # fmt: skip
    await Orders(pool, list(MARKETS.values())).cancel(ALICE, "a1")
    locked, after = await money(pool)
    eth, usdt = MARKETS["ETHUSDT"].base, MARKETS["ETHUSDT"].quote
    paid = int(Decimal(8248) * 10**8)
    fees = {eth: int(Decimal("2.5") * 10**8) * FEE_PPM // PPM, usdt: paid * FEE_PPM // PPM}
    assert locked == 0
    assert after == [(asset, held - fees.get(asset, 0)) for asset, held in before]
    assert await pool.fetchval("SELECT sum(taker_fee)::bigint FROM trades") == fees[eth]


async def test_what_an_exchange_must_refuse(pool: Any) -> None:
    await place(pool, ALICE, "BUY 3000.00 GTC", "one")
    for text, quantity, name, code in (
        ("BUY 3000.00 GTC", "1", "one", "DUPLICATE_CLIENT_ORDER_ID"),
        ("BUY 3000.00 GTC", "100", "two", "INSUFFICIENT_FUNDS"),
        ("BUY 3000.001 GTC", "1", "two", "PRICE_FILTER"),
        ("BUY 3000.00 GTC", "0.00001", "two", "LOT_SIZE"),
        ("BUY 3000.00 GTC", "0.0001", "two", "NOTIONAL"),
        ("BUY 300.00 GTC", "1", "two", "PERCENT_PRICE_BY_SIDE"),
    ):
        with pytest.raises(Refusal) as refused:
            await place(pool, ALICE, text, name, quantity)
        assert refused.value.code == code
    expired = await place(pool, BOB, "SELL 3100.00 IOC", "three")
    assert (expired.status, expired.fills) == ("EXPIRED", [])
    locked, _ = await money(pool)
    assert locked == 3000 * 10**8, "only the first order stands"
