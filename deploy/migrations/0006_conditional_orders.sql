-- Stops, icebergs, pegs, lists, prevented matches and amendments in the queryable tables.
-- What is folded from the books' journals is emptied here, and the projector makes it anew from the first batch.

DELETE FROM projection;
TRUNCATE orders, trades, executions, candles;

-- Null where an order has no such thing: nearly all orders are plain, and nulls take no room.
ALTER TABLE orders
    ADD COLUMN stop_price_ticks bigint,
    ADD COLUMN display_lots bigint,
    ADD COLUMN trailing_bips integer,
    ADD COLUMN peg_type smallint,
    ADD COLUMN peg_offset smallint,
    ADD COLUMN list_role smallint,
    ADD COLUMN list_id bigint,
    -- What self-trade prevention took off it, and the newest prevented match that did.
    ADD COLUMN prevented_lots bigint,
    ADD COLUMN prevented_match_id bigint,
    -- Since when it is in the book to trade; 0: it waits; null: since it was created.
    ADD COLUMN working_ns bigint,
    -- Trailing stops: since when they follow the market; 0: not yet.
    ADD COLUMN tracking_ns bigint;

-- Matches within one account that did not become trades. Numbers are dense per symbol.
CREATE TABLE prevented_matches (
    account bigint NOT NULL,
    symbol text NOT NULL,
    prevented_match_id bigint NOT NULL,
    taker_order_id bigint NOT NULL,
    maker_order_id bigint NOT NULL,
    stp_mode smallint NOT NULL,
    price_ticks bigint NOT NULL,
    -- What each order lost by it.
    taker_prevented_lots bigint NOT NULL,
    maker_prevented_lots bigint NOT NULL,
    ts_ns bigint NOT NULL,
    PRIMARY KEY (account, symbol, prevented_match_id)
);
CREATE INDEX prevented_matches_taker ON prevented_matches (taker_order_id, prevented_match_id);
CREATE INDEX prevented_matches_maker ON prevented_matches (maker_order_id, prevented_match_id);

CREATE TABLE amendments (
    account bigint NOT NULL,
    symbol text NOT NULL,
    order_id bigint NOT NULL,
    exec_id bigint NOT NULL,
    orig_client_order_id text NOT NULL,
    new_client_order_id text NOT NULL,
    orig_qty_lots bigint NOT NULL,
    new_qty_lots bigint NOT NULL,
    ts_ns bigint NOT NULL,
    PRIMARY KEY (order_id, exec_id)
);

-- Written by the account actors, for a list is theirs: the books know no more of it than which order cancels which.
CREATE TABLE order_lists (
    account bigint NOT NULL,
    list_id bigint NOT NULL,
    symbol text NOT NULL,
    contingency smallint NOT NULL,
    list_client_order_id text NOT NULL,
    list_status smallint NOT NULL,
    created_ns bigint NOT NULL,
    updated_ns bigint NOT NULL,
    -- The working order first; both of one length.
    order_ids bigint[] NOT NULL,
    client_order_ids text[] NOT NULL,
    PRIMARY KEY (account, list_id)
);
CREATE INDEX order_lists_client ON order_lists (account, list_client_order_id);
CREATE INDEX order_lists_created ON order_lists (account, created_ns);
