"""Reads the stored tape and its candles: sums over any span, the trades around it. For the projector and the gateways.

A span is cut into hours, minutes, seconds and single trades, so that a year costs hardly more than a day and the edges
are exact.
"""

from collections.abc import Sequence
from typing import Any, Final, Protocol

from market.candles import Candle
from market.intervals import HOUR_NS, MINUTE_NS, SECOND_NS

_FAR_NS: Final = 1 << 62


class Fetches(Protocol):
    """A pool or a connection of asyncpg."""

    async def fetch(self, query: str, *args: Any) -> list[Any]: ...


class Span:
    """[start_ns, end_ns) as whole hours, around them whole minutes, seconds, and the nanoseconds left over."""

    def __init__(self, start_ns: int, end_ns: int) -> None:
        self.pieces: list[tuple[int, int, int]] = []
        """(width in seconds, from, to)."""
        self.trades: list[tuple[int, int]] = []
        left, right = start_ns, end_ns
        for width_ns in (SECOND_NS, MINUTE_NS, HOUR_NS):
            first, last = -(-left // width_ns) * width_ns, right // width_ns * width_ns
            if first >= last:
                self._add(width_ns, left, right)
                return
            self._add(width_ns, left, first)
            self._add(width_ns, last, right)
            left, right = first, last
        self.pieces.append((HOUR_NS // SECOND_NS, left, right))

    def _add(self, next_width_ns: int, start_ns: int, end_ns: int) -> None:
        """A part that is not whole in the next width."""
        if start_ns >= end_ns:
            return
        if next_width_ns == SECOND_NS:
            self.trades.append((start_ns, end_ns))
        else:
            width_s = {MINUTE_NS: 1, HOUR_NS: 60}[next_width_ns]
            self.pieces.append((width_s, start_ns, end_ns))


# OFFSET 0 keeps each look-up one of its own, which opens the partitions of its span alone: joined, all are read.
_TOTALS: Final = """
WITH wanted AS (SELECT unnest($1::text[]) AS symbol),
spans AS (SELECT * FROM unnest($2::int[], $3::bigint[], $4::bigint[]) AS spans (width_s, from_ns, to_ns)),
instants AS (SELECT * FROM unnest($5::bigint[], $6::bigint[]) AS instants (from_ns, to_ns)),
rows AS (
    SELECT c.* FROM wanted CROSS JOIN spans CROSS JOIN LATERAL (
        SELECT symbol, open_ns, open_ticks, high_ticks, low_ticks, close_ticks, volume_lots, quote_units, trades,
               taker_buy_lots, taker_buy_quote_units, first_trade_id, last_trade_id
        FROM candles WHERE symbol = wanted.symbol AND width_s = spans.width_s AND open_ns >= from_ns AND open_ns < to_ns
        OFFSET 0
    ) AS c
    UNION ALL
    SELECT t.* FROM wanted CROSS JOIN instants JOIN candles AS c USING (symbol) CROSS JOIN LATERAL (
        SELECT symbol, ts_ns, price_ticks, price_ticks, price_ticks, price_ticks, qty_lots, quote_units, 1,
               CASE WHEN taker_side = 0 THEN qty_lots ELSE 0 END, CASE WHEN taker_side = 0 THEN quote_units ELSE 0 END,
               trade_id, trade_id
        FROM trades WHERE symbol = wanted.symbol AND trade_id BETWEEN c.first_trade_id AND c.last_trade_id
          AND ts_ns >= from_ns AND ts_ns < to_ns
        OFFSET 0
    ) AS t
    WHERE c.width_s = 1 AND c.open_ns = from_ns / 1000000000 * 1000000000
)
SELECT symbol, min(first_trade_id) AS first_trade_id, max(last_trade_id) AS last_trade_id,
       (array_agg(open_ticks ORDER BY first_trade_id))[1] AS open, max(high_ticks) AS high, min(low_ticks) AS low,
       (array_agg(close_ticks ORDER BY last_trade_id DESC))[1] AS close, sum(volume_lots) AS volume,
       sum(quote_units) AS quote, sum(trades) AS trades, sum(taker_buy_lots) AS taker_buy,
       sum(taker_buy_quote_units) AS taker_buy_quote
FROM rows GROUP BY symbol
"""
# Minutes that a venue told of before our own first one.
_BEFORE_OURS: Final = """
SELECT {own} open_ns, open_ticks, high_ticks, low_ticks, close_ticks, volume_lots, quote_units, 0 AS trades,
       0 AS taker_buy_lots, 0 AS taker_buy_quote_units, NULL::bigint AS first_trade_id, NULL::bigint AS last_trade_id
FROM venue_candles WHERE symbol = $1 AND open_ns < coalesce(
    (SELECT open_ns FROM candles WHERE symbol = $1 AND width_s = 60 ORDER BY open_ns LIMIT 1), 9223372036854775807)
"""
MINUTES: Final = f"""
SELECT open_ns, open_ticks, high_ticks, low_ticks, close_ticks, volume_lots, quote_units, trades, taker_buy_lots,
       taker_buy_quote_units, first_trade_id, last_trade_id
FROM candles WHERE symbol = $1 AND width_s = 60
UNION ALL {_BEFORE_OURS.format(own="")}
"""  # noqa: S608  no input in it
"""Every minute known of the symbol $1: ours, and before them the venue's, which have no ids and count no trades."""
# A longer candle of ours may begin with minutes of the venue's: they come first.
_GROUPS: Final = f"""
SELECT width_bucket(open_ns, $5::bigint[]) AS bucket, coalesce(min(first_trade_id), -1) AS first_trade_id,
       coalesce(max(last_trade_id), -1) AS last_trade_id, (array_agg(open_ticks ORDER BY own, open_ns))[1] AS open,
       max(high_ticks) AS high, min(low_ticks) AS low,
       (array_agg(close_ticks ORDER BY own DESC, open_ns DESC))[1] AS close, sum(volume_lots) AS volume,
       sum(quote_units) AS quote, sum(trades) AS trades, sum(taker_buy_lots) AS taker_buy,
       sum(taker_buy_quote_units) AS taker_buy_quote
FROM (
    SELECT 1 AS own, open_ns, open_ticks, high_ticks, low_ticks, close_ticks, volume_lots, quote_units, trades,
           taker_buy_lots, taker_buy_quote_units, first_trade_id, last_trade_id
    FROM candles WHERE symbol = $1 AND width_s = $2 AND open_ns >= $3 AND open_ns < $4
    UNION ALL {_BEFORE_OURS.format(own="0 AS own,")} AND $2 >= 60 AND open_ns >= $3 AND open_ns < $4
) AS rows GROUP BY bucket ORDER BY bucket
"""  # noqa: S608  no input in it
_TOLD: Final = f"""
SELECT -1 AS first_trade_id, -1 AS last_trade_id, (array_agg(open_ticks ORDER BY open_ns))[1] AS open,
       max(high_ticks) AS high, min(low_ticks) AS low, (array_agg(close_ticks ORDER BY open_ns DESC))[1] AS close,
       sum(volume_lots) AS volume, sum(quote_units) AS quote, 0 AS trades, 0 AS taker_buy, 0 AS taker_buy_quote
FROM ({_BEFORE_OURS.format(own="")} AND open_ns >= $2 AND open_ns < $3) AS rows HAVING count(*) > 0
"""  # noqa: S608  no input in it
_CLOSE_BEFORE: Final = """
SELECT close_ticks FROM unnest(ARRAY[1, 60, 3600]) AS widths (width) CROSS JOIN LATERAL (
    SELECT close_ticks, last_trade_id FROM candles
    WHERE symbol = $1 AND width_s = width AND open_ns <= $2 - width::bigint * 1000000000 ORDER BY open_ns DESC LIMIT 1
) AS last ORDER BY last_trade_id DESC LIMIT 1
"""


def _candle(row: Any, open_ns: int) -> Candle:
    return Candle(
        open_ns,
        row["open"],
        row["high"],
        row["low"],
        row["close"],
        int(row["volume"]),
        int(row["quote"]),
        int(row["trades"]),
        int(row["taker_buy"]),
        int(row["taker_buy_quote"]),
        row["first_trade_id"],
        row["last_trade_id"],
    )


class TapeStore:
    def __init__(self, database: Fetches) -> None:
        self._database = database

    async def totals(self, symbols: Sequence[str], start_ns: int, end_ns: int = _FAR_NS) -> dict[str, Candle]:
        """What traded in [start_ns, end_ns), by symbol; symbols without a trade are not in it."""
        span = Span(start_ns, end_ns)
        pieces = list(zip(*span.pieces, strict=True)) or [(), (), ()]
        instants = list(zip(*span.trades, strict=True)) or [(), ()]
        rows = await self._database.fetch(_TOTALS, list(symbols), *map(list, pieces), *map(list, instants))
        return {row["symbol"]: _candle(row, start_ns) for row in rows}

    async def candles(self, symbol: str, opens: Sequence[int], end_ns: int) -> list[Candle]:
        """What traded between each two open times, and from the last one to `end_ns`; only where something did.

        Before our own first trade as the venue told it, by whole minutes: `trades` 0 and `NO_TRADE_ID`.
        """
        if not opens:
            return []
        width_ns = next(w for w in (HOUR_NS, MINUTE_NS, SECOND_NS) if not any(at % w for at in (*opens, end_ns)))
        rows = await self._database.fetch(
            _GROUPS, symbol, width_ns // SECOND_NS, opens[0], end_ns, list(opens)
        )  # fmt: skip
        return [_candle(row, opens[row["bucket"] - 1]) for row in rows]

    async def first_trade_ns(self, symbol: str) -> int | None:
        """When the symbol began to trade; where the first trades are gone, the hour of the first one. None: never."""
        rows = await self._database.fetch(
            "SELECT open_ns, (SELECT ts_ns FROM trades AS t WHERE symbol = $1 AND trade_id = first_trade_id "
            "AND ts_ns >= open_ns AND ts_ns < open_ns + $2) AS ts_ns "
            "FROM candles WHERE symbol = $1 AND width_s = 3600 ORDER BY open_ns LIMIT 1",
            symbol,
            HOUR_NS,
        )
        if not rows:
            return None
        first_ns: int = rows[0]["open_ns"] if rows[0]["ts_ns"] is None else rows[0]["ts_ns"]
        return first_ns

    async def close_before(self, symbol: str, ts_ns: int) -> int | None:
        """The price of the last trade before `ts_ns`, which is on a second; None when nothing had traded.

        Where the seconds are gone, of the last whole minute before.
        """
        rows = await self._database.fetch(_CLOSE_BEFORE, symbol, ts_ns)
        return rows[0]["close_ticks"] if rows else None

    async def first_told_ns(self, symbol: str) -> int | None:
        """The first minute that the venue told of, of the time before our own first trade. None: it told of none."""
        rows = await self._database.fetch(
            "SELECT min(open_ns) AS open_ns FROM venue_candles WHERE symbol = $1", symbol
        )  # fmt: skip
        found: int | None = rows[0]["open_ns"]
        return found

    async def told(self, symbol: str, start_ns: int, end_ns: int) -> dict[str, Candle]:
        """Of [start_ns, end_ns), whole minutes, what the venue told before our own first trade, by symbol: one or none."""
        rows = await self._database.fetch(_TOLD, symbol, start_ns, end_ns)
        return {symbol: _candle(rows[0], start_ns)} if rows else {}

    async def told_close_before(self, symbol: str, ts_ns: int) -> int | None:
        """As `close_before`, of what the venue told."""
        rows = await self._database.fetch(
            "SELECT close_ticks FROM venue_candles WHERE symbol = $1 AND open_ns < $2 ORDER BY open_ns DESC LIMIT 1",
            symbol,
            ts_ns,
        )
        return rows[0]["close_ticks"] if rows else None

    async def trades_by_id(self, wanted: Sequence[tuple[str, int]]) -> dict[tuple[str, int], Any]:
        """Rows of `trades` by symbol and trade id."""
        rows = await self._database.fetch(
            "SELECT t.* FROM unnest($1::text[], $2::bigint[]) AS w (symbol, trade_id) JOIN trades AS t "
            "USING (symbol, trade_id)",
            [symbol for symbol, _ in wanted],
            [trade_id for _, trade_id in wanted],
        )
        return {(row["symbol"], row["trade_id"]): row for row in rows}

    async def last_trades(self, symbols: Sequence[str]) -> dict[str, Any]:
        """The newest row of `trades` of each symbol that ever traded."""
        rows = await self._database.fetch(
            "SELECT last.* FROM unnest($1::text[]) AS w (symbol) CROSS JOIN LATERAL "
            "(SELECT * FROM trades WHERE symbol = w.symbol ORDER BY trade_id DESC LIMIT 1) AS last",
            list(symbols),
        )
        return {row["symbol"]: row for row in rows}
