"""One transaction for each order: lock the market, lock funds and insert, match against resting orders, post the fills.

Statements are prepared once a connection (asyncpg keeps them); what goes together goes in one statement, and all fills of an order
in one statement for each table.
"""

import asyncio
from collections import defaultdict
from typing import Any, Final, NamedTuple

import asyncpg

from bench.baseline.rules import FEE_PPM, Market, Order, Refusal
from market.instrument import PPM

MOST_MAKERS: Final = 100
"""Read at a time."""
ATTEMPTS: Final = 5
"""Two orders of two markets may wait for each other's balances: PostgreSQL ends one, which tries again."""

_OPEN: Final = "status IN ('NEW', 'PARTIALLY_FILLED')"
_LOCK: Final = "SELECT last_price FROM markets WHERE id = $1 FOR UPDATE"
_INSERT: Final = (
    "WITH paid AS (UPDATE balances SET free = free - $9, locked = locked + $9 "
    "WHERE account = $1 AND asset = $8 AND free >= $9 RETURNING account) "
    "INSERT INTO orders (account, market, side, time_in_force, price, qty, leaves, status, client_order_id) "
    "SELECT account, $2, $3, $4, $5, $6, $6, 'NEW', $7 FROM paid WHERE "
    f"(SELECT count(*) FROM orders WHERE account = $1 AND market = $2 AND {_OPEN}) < $10 RETURNING id"
)
_MAKERS: Final = {
    0: f"SELECT id, account, price, leaves FROM orders WHERE market = $1 AND side = 1 AND {_OPEN} AND price <= $2 "
    "ORDER BY price, id LIMIT $3 OFFSET $4 FOR UPDATE",
    1: f"SELECT id, account, price, leaves FROM orders WHERE market = $1 AND side = 0 AND {_OPEN} AND price >= $2 "
    "ORDER BY price DESC, id LIMIT $3 OFFSET $4 FOR UPDATE",
}
_FILL_ORDERS: Final = (
    "UPDATE orders SET leaves = f.leaves, status = f.status FROM unnest($1::bigint[], $2::bigint[], $3::text[]) "
    "AS f (id, leaves, status) WHERE orders.id = f.id"
)
_TRADES: Final = (
    "INSERT INTO trades (market, price, qty, taker_order, maker_order, taker, maker, taker_fee, maker_fee) "
    "SELECT $1, f.price, f.qty, $2, f.maker_order, $3, f.maker, f.taker_fee, f.maker_fee FROM "
    "unnest($4::bigint[], $5::bigint[], $6::bigint[], $7::bigint[], $8::bigint[], $9::bigint[]) "
    "AS f (price, qty, maker_order, maker, taker_fee, maker_fee) RETURNING id"
)
_POST: Final = (
    "UPDATE balances AS b SET free = b.free + f.free, locked = b.locked + f.locked FROM "
    "unnest($1::bigint[], $2::smallint[], $3::bigint[], $4::bigint[]) AS f (account, asset, free, locked) "
    "WHERE b.account = f.account AND b.asset = f.asset"
)
_LAST: Final = "UPDATE markets SET last_price = $2 WHERE id = $1"
_CANCEL: Final = (
    f"WITH gone AS (UPDATE orders SET status = 'CANCELED' WHERE account = $1 AND client_order_id = $2 AND {_OPEN} "
    "RETURNING id, market, side, price, leaves) "
    "SELECT id, market, side, price, leaves FROM gone"
)


class Fill(NamedTuple):
    trade_id: int
    market: int
    price: int
    qty: int
    maker: int
    maker_order: int
    maker_leaves: int


class Placed(NamedTuple):
    order_id: int
    status: str
    leaves: int
    fills: list[Fill]


class Orders:
    def __init__(self, pool: "asyncpg.Pool[Any]", markets: list[Market]) -> None:
        self._pool = pool
        self._markets = markets

    async def place(self, account: int, order: Order) -> Placed:
        """Raises Refusal."""
        for attempt in range(ATTEMPTS):
            try:
                async with self._pool.acquire() as connection, connection.transaction():
                    return await self._place(connection, account, order)
            except asyncpg.UniqueViolationError:
                raise Refusal("DUPLICATE_CLIENT_ORDER_ID", "An open order is called so.") from None
            except asyncpg.DeadlockDetectedError:
                await asyncio.sleep(0.001 * attempt)
        raise Refusal("BUSY", "Too many orders at once; send it again.")

    async def _place(self, connection: Any, account: int, order: Order) -> Placed:
        market = self._markets[order.market]
        await connection.fetchval(_LOCK, order.market)
        order_id = await connection.fetchval(
            _INSERT, account, order.market, order.side, "IOC" if order.immediate else "GTC", order.price, order.qty,
            order.client_order_id, order.pays, order.cost, market.instrument.max_num_orders,
        )  # fmt: skip
        if order_id is None:
            raise Refusal("INSUFFICIENT_FUNDS", "Funds do not suffice, or too many orders are open.")
        fills, leaves = await self._makers(connection, order)
        if not fills and not order.immediate:
            return Placed(order_id, "NEW", leaves, [])
        status = "FILLED" if not leaves else "EXPIRED" if order.immediate else "PARTIALLY_FILLED"
        ids = await self._post(connection, account, order, order_id, fills, leaves, status)
        fills = [one._replace(trade_id=trade_id) for one, trade_id in zip(fills, ids, strict=True)]
        return Placed(order_id, status, leaves, fills)

    async def _makers(self, connection: Any, order: Order) -> tuple[list[Fill], int]:
        """Price, then time; and what is left of the order."""
        fills: list[Fill] = []
        leaves = order.qty
        while leaves:
            rows = await connection.fetch(_MAKERS[order.side], order.market, order.price, MOST_MAKERS, len(fills))
            for maker_order, maker, price, standing in rows:
                qty = min(leaves, standing)
                fills.append(Fill(0, order.market, price, qty, maker, maker_order, standing - qty))
                leaves -= qty
                if not leaves:
                    break
            if len(rows) < MOST_MAKERS:
                break
        return fills, leaves

    async def _post(
        self, connection: Any, account: int, order: Order, order_id: int, fills: list[Fill], leaves: int, status: str
    ) -> list[int]:
        """The outcome in every table; the trades' ids."""
        market = self._markets[order.market]
        moved: defaultdict[tuple[int, int], list[int]] = defaultdict(lambda: [0, 0])
        fees = [_settled(market, account, order, one, moved) for one in fills]
        if order.immediate and leaves:
            back = market.base_units(leaves) if order.side else market.notional(order.price, leaves)
            moved[account, order.pays][0] += back
            moved[account, order.pays][1] -= back
        ids: list[int] = []
        if fills:
            columns = [[one[k] for one in fills] for k in (2, 3, 5, 4)]
            rows = await connection.fetch(
                _TRADES, order.market, order_id, account, *columns, *(list(side) for side in zip(*fees, strict=True))
            )
            ids = [row[0] for row in rows]
            await connection.execute(_LAST, order.market, fills[-1].price)
        states = [
            (one.maker_order, one.maker_leaves, "PARTIALLY_FILLED" if one.maker_leaves else "FILLED") for one in fills
        ]
        states.append((order_id, leaves, status))
        await connection.execute(_FILL_ORDERS, *(list(column) for column in zip(*states, strict=True)))
        posts = [(*key, *units) for key, units in sorted(moved.items())]
        await connection.execute(_POST, *(list(column) for column in zip(*posts, strict=True)))
        return ids

    async def cancel(self, account: int, client_order_id: str) -> int:
        """The order's id. Raises Refusal."""
        async with self._pool.acquire() as connection, connection.transaction():
            row = await connection.fetchrow(_CANCEL, account, client_order_id)
            if row is None:
                raise Refusal("UNKNOWN_ORDER", "No open order is called so.")
            order_id, number, side, price, leaves = row
            market = self._markets[number]
            asset, units = (
                (market.base, market.base_units(leaves)) if side else (market.quote, market.notional(price, leaves))
            )
            await connection.execute(_POST, [account], [asset], [units], [-units])
            return int(order_id)


def _settled(
    market: Market, taker: int, order: Order, fill: Fill, moved: defaultdict[tuple[int, int], list[int]]
) -> tuple[int, int]:
    """Into `moved`: free and locked units by account and asset; the fees of taker and maker."""
    base, quote = market.base_units(fill.qty), market.notional(fill.price, fill.qty)
    buyer, seller = (fill.maker, taker) if order.side else (taker, fill.maker)
    base_fee, quote_fee = base * FEE_PPM // PPM, quote * FEE_PPM // PPM
    limit = fill.price if order.side else order.price
    locked = market.notional(limit, fill.qty)
    moved[buyer, market.quote][1] -= locked
    moved[buyer, market.quote][0] += locked - quote
    moved[buyer, market.base][0] += base - base_fee
    moved[seller, market.base][1] -= base
    moved[seller, market.quote][0] += quote - quote_fee
    return (quote_fee, base_fee) if order.side else (base_fee, quote_fee)
