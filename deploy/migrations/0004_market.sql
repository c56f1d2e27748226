-- Market data by the venue's rules: aggregate trades, candles of a second, a minute and an hour.
-- Everything below is folded from the journal, so it is emptied here and the projector makes it anew from the first batch.

DELETE FROM projection;
TRUNCATE orders, trades, executions;

ALTER TABLE trades ADD COLUMN agg_id bigint NOT NULL;
CREATE INDEX trades_agg ON trades (symbol, agg_id);

DROP TABLE candles;
-- Only candles in which something traded: of a second there are never more than trades. Kept as long as the trades.
CREATE TABLE candles (
    symbol text NOT NULL,
    width_s integer NOT NULL,
    open_ns bigint NOT NULL,
    open_ticks bigint NOT NULL,
    high_ticks bigint NOT NULL,
    low_ticks bigint NOT NULL,
    close_ticks bigint NOT NULL,
    volume_lots numeric(40, 0) NOT NULL,
    quote_units numeric(40, 0) NOT NULL,
    trades bigint NOT NULL,
    taker_buy_lots numeric(40, 0) NOT NULL,
    taker_buy_quote_units numeric(40, 0) NOT NULL,
    first_trade_id bigint NOT NULL,
    last_trade_id bigint NOT NULL,
    PRIMARY KEY (symbol, width_s, open_ns)
);
