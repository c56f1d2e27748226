-- Read models: written from the journal by the projector and the account actors, idempotent, rebuilt at will.

CREATE TABLE projection (
    name text NOT NULL,
    stream text NOT NULL,
    seq bigint NOT NULL,
    PRIMARY KEY (name, stream)
);

CREATE TABLE orders (
    order_id bigint PRIMARY KEY,
    account bigint NOT NULL,
    symbol text NOT NULL,
    client_order_id text NOT NULL,
    side smallint NOT NULL,
    ord_type smallint NOT NULL,
    time_in_force smallint NOT NULL,
    stp_mode smallint NOT NULL,
    flags smallint NOT NULL,
    price_ticks bigint NOT NULL,
    qty_lots bigint NOT NULL,
    leaves_lots bigint NOT NULL,
    cum_qty_lots bigint NOT NULL DEFAULT 0,
    cum_quote_units numeric(40, 0) NOT NULL DEFAULT 0,
    ord_status smallint NOT NULL,
    reason smallint NOT NULL DEFAULT 0,
    created_ns bigint NOT NULL,
    updated_ns bigint NOT NULL
);
CREATE INDEX orders_account ON orders (account, order_id DESC);
CREATE INDEX orders_client ON orders (account, client_order_id);

-- Public tape.
CREATE TABLE trades (
    symbol text NOT NULL,
    trade_id bigint NOT NULL,
    price_ticks bigint NOT NULL,
    qty_lots bigint NOT NULL,
    quote_units bigint NOT NULL,
    taker_side smallint NOT NULL,
    ts_ns bigint NOT NULL,
    PRIMARY KEY (symbol, trade_id)
);

-- Executions of users' orders: one row per side that is a user.
CREATE TABLE executions (
    account bigint NOT NULL,
    symbol text NOT NULL,
    trade_id bigint NOT NULL,
    order_id bigint NOT NULL,
    side smallint NOT NULL,
    is_maker boolean NOT NULL,
    price_ticks bigint NOT NULL,
    qty_lots bigint NOT NULL,
    quote_units bigint NOT NULL,
    commission_units bigint NOT NULL,
    ts_ns bigint NOT NULL,
    PRIMARY KEY (account, symbol, trade_id, is_maker)
);
CREATE INDEX executions_account ON executions (account, ts_ns DESC);

CREATE TABLE candles (
    symbol text NOT NULL,
    open_ns bigint NOT NULL,
    open_ticks bigint NOT NULL,
    high_ticks bigint NOT NULL,
    low_ticks bigint NOT NULL,
    close_ticks bigint NOT NULL,
    volume_lots numeric(40, 0) NOT NULL,
    quote_units numeric(40, 0) NOT NULL,
    trades bigint NOT NULL,
    taker_buy_lots numeric(40, 0) NOT NULL,
    first_trade_id bigint NOT NULL,
    last_trade_id bigint NOT NULL,
    PRIMARY KEY (symbol, open_ns)
);

CREATE TABLE balances (
    account bigint NOT NULL,
    asset text NOT NULL,
    free_units bigint NOT NULL,
    locked_units bigint NOT NULL,
    updated_at timestamptz NOT NULL DEFAULT now(),
    PRIMARY KEY (account, asset)
);

CREATE TABLE equity (
    account bigint NOT NULL,
    at timestamptz NOT NULL,
    quote_units numeric(40, 0) NOT NULL,
    PRIMARY KEY (account, at)
);
