"""How good the stored data of a day are: are all trades there, and do the candles say what the trades say.

Trade ids of a symbol are dense, so a hole is a trade that is missing. Every stored candle is made again from the trades.
"""

from collections.abc import Callable, Sequence
from typing import Any, Final

import msgspec

from actors.day_partitions import date_text
from market.candles import STORED_WIDTHS_NS
from market.intervals import DAY_NS, SECOND_NS


class DayQuality(msgspec.Struct, frozen=True):
    symbol: str
    trades: int
    missing_trades: int
    candles: int
    """Those that are stored or should be, of all widths."""
    wrong_candles: int

    @property
    def score(self) -> float:
        """Completeness of the trades times consistency of the candles, 0 to 100. 100: nothing is wrong."""
        hundred = 10_000  # hundredths, rounded down: 100 is only told of what is perfect
        told = self.trades + self.missing_trades
        if told:
            hundred = hundred * self.trades // told
        if self.candles:
            hundred = hundred * (self.candles - self.wrong_candles) // self.candles
        return hundred / 100


_TRADES: Final = """
SELECT count(*) AS trades, min(trade_id) AS first_id, max(trade_id) AS last_id,
       (SELECT last_trade_id FROM candles WHERE symbol = $1 AND width_s = 3600 AND open_ns < $2
        ORDER BY open_ns DESC LIMIT 1) AS before_id,
       (SELECT last_trade_id FROM candles WHERE symbol = $1 AND width_s = 3600 AND open_ns >= $2 AND open_ns < $3
        ORDER BY open_ns DESC LIMIT 1) AS told_id
FROM trades WHERE symbol = $1 AND ts_ns >= $2 AND ts_ns < $3
"""
_CANDLES: Final = """
WITH made AS (
    SELECT ts_ns / $5 * $5 AS open_ns, (array_agg(price_ticks ORDER BY trade_id))[1] AS open,
           max(price_ticks) AS high, min(price_ticks) AS low,
           (array_agg(price_ticks ORDER BY trade_id DESC))[1] AS close, sum(qty_lots) AS volume,
           sum(quote_units) AS quote, count(*) AS trades,
           coalesce(sum(qty_lots) FILTER (WHERE taker_side = 0), 0) AS taker_buy,
           coalesce(sum(quote_units) FILTER (WHERE taker_side = 0), 0) AS taker_buy_quote,
           min(trade_id) AS first_id, max(trade_id) AS last_id
    FROM trades WHERE symbol = $1 AND ts_ns >= $2 AND ts_ns < $3 GROUP BY 1
), stored AS (
    SELECT open_ns, open_ticks, high_ticks, low_ticks, close_ticks, volume_lots, quote_units, trades AS count,
           taker_buy_lots, taker_buy_quote_units, first_trade_id, last_trade_id
    FROM candles WHERE symbol = $1 AND width_s = $4 AND open_ns >= $2 AND open_ns < $3
)
SELECT count(*) AS candles, count(*) FILTER (WHERE
    (open, high, low, close, volume, quote, trades, taker_buy, taker_buy_quote, first_id, last_id) IS DISTINCT FROM
    (open_ticks, high_ticks, low_ticks, close_ticks, volume_lots, quote_units, count, taker_buy_lots,
     taker_buy_quote_units, first_trade_id, last_trade_id)) AS wrong
FROM made FULL JOIN stored USING (open_ns)
"""
_KEEP: Final = (
    "INSERT INTO quality_days (day, symbol, trades, missing_trades, candles, wrong_candles, score) "
    "SELECT $1::text::date, * FROM unnest($2::text[], $3::bigint[], $4::bigint[], $5::bigint[], $6::bigint[], $7::float8[]) "
    "ON CONFLICT (day, symbol) DO UPDATE SET trades = excluded.trades, missing_trades = excluded.missing_trades, "
    "candles = excluded.candles, wrong_candles = excluded.wrong_candles, score = excluded.score, checked_at = now()"
)


async def quality_of(connection: Any, symbol: str, day: int, *, seconds: bool = True) -> DayQuality:
    """`seconds` false: candles of a second are no longer kept of that day. Inside one transaction for a day under way."""
    start_ns, end_ns = day * DAY_NS, (day + 1) * DAY_NS
    row = await connection.fetchrow(_TRADES, symbol, start_ns, end_ns)
    missing = 0
    ids = [one for one in (row["last_id"], row["told_id"]) if one is not None]
    if ids:
        before = row["before_id"] or 0
        missing = max(0, max(ids) - before - row["trades"])
    candles = wrong = 0
    for width_ns in STORED_WIDTHS_NS:
        if width_ns == SECOND_NS and not seconds:
            continue
        found = await connection.fetchrow(_CANDLES, symbol, start_ns, end_ns, width_ns // SECOND_NS, width_ns)
        candles, wrong = candles + found["candles"], wrong + found["wrong"]
    return DayQuality(symbol, row["trades"], missing, candles, wrong)


def together(symbol: str, parts: Sequence[DayQuality]) -> DayQuality:
    return DayQuality(
        symbol,
        sum(one.trades for one in parts),
        sum(one.missing_trades for one in parts),
        sum(one.candles for one in parts),
        sum(one.wrong_candles for one in parts),
    )


async def check_day(
    connection: Any, symbols: Sequence[str], day: int, progress: Callable[[float], None], *, seconds: bool = True
) -> list[DayQuality]:
    """Symbols in which something traded; kept in `quality_days`. One state of the database for each symbol."""
    found = []
    for k, symbol in enumerate(symbols):
        async with connection.transaction(isolation="repeatable_read", readonly=True):
            one = await quality_of(connection, symbol, day, seconds=seconds)
        if one.trades or one.missing_trades or one.candles:
            found.append(one)
        progress((k + 1) / len(symbols))
    columns = [[getattr(one, name) for one in found] for name in (*DayQuality.__struct_fields__, "score")]
    await connection.execute(_KEEP, date_text(day), *columns)
    return found
