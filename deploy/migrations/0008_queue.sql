-- How users' orders stood in the queues at a real venue's prices, and which trades are a venue's.

-- Null where no venue caused the trade.
ALTER TABLE trades
    -- Both sides are the venue's.
    ADD COLUMN is_outside boolean NOT NULL DEFAULT false,
    ADD COLUMN venue_trade_id bigint,
    -- The venue's own time; null: it did not tell.
    ADD COLUMN venue_ns bigint;

-- Whom the user traded with: market.enums.Counterparty.
ALTER TABLE executions ADD COLUMN counterparty smallint NOT NULL DEFAULT 0;

-- Each time that an order's place in a venue's queue was told: on entry, and right before each fill as a maker.
CREATE TABLE order_queue (
    order_id bigint NOT NULL,
    symbol text NOT NULL,
    exec_id bigint NOT NULL,
    ts_ns bigint NOT NULL,
    price_ticks bigint NOT NULL,
    leaves_lots bigint NOT NULL,
    -- The venue's quantity before it, and what of it went since it entered, and how.
    ahead_lots bigint NOT NULL,
    by_trades_lots bigint NOT NULL,
    by_cancels_lots bigint NOT NULL,
    -- Of the fill that followed; null: none did.
    trade_id bigint,
    PRIMARY KEY (order_id, exec_id)
);
