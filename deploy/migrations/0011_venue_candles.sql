-- Candles that a venue tells of before our own first trade, a minute each: for charts and klines alone. They lie beside
-- `candles`, which stays what our own tape was folded to.

CREATE TABLE venue_candles (
    symbol text NOT NULL,
    open_ns bigint NOT NULL,
    open_ticks bigint NOT NULL,
    high_ticks bigint NOT NULL,
    low_ticks bigint NOT NULL,
    close_ticks bigint NOT NULL,
    volume_lots numeric(40, 0) NOT NULL,
    -- Close times volume: venues tell their own sum in a dozen ways, or not at all.
    quote_units numeric(40, 0) NOT NULL,
    PRIMARY KEY (symbol, open_ns)
);

-- The span of which everything is in there that the venue had; a minute without a trade has no row.
CREATE TABLE venue_candle_spans (
    symbol text PRIMARY KEY,
    from_ns bigint NOT NULL,
    to_ns bigint NOT NULL
);
