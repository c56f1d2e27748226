-- What everybody writes: current state in tables, indexed for the ways it is asked for. Amounts are whole units, prices ticks,
-- quantities lots. Room on each page, so that updates stay on it (HOT) and touch no index.

CREATE TABLE users (
    id bigserial PRIMARY KEY,
    name text NOT NULL UNIQUE,
    token text NOT NULL UNIQUE
);

CREATE TABLE markets (
    id smallint PRIMARY KEY,
    symbol text NOT NULL UNIQUE,
    base smallint NOT NULL,
    quote smallint NOT NULL,
    last_price bigint NOT NULL
) WITH (fillfactor = 50);

CREATE TABLE balances (
    account bigint NOT NULL REFERENCES users (id),
    asset smallint NOT NULL,
    free bigint NOT NULL CHECK (free >= 0),
    locked bigint NOT NULL DEFAULT 0 CHECK (locked >= 0),
    PRIMARY KEY (account, asset)
) WITH (fillfactor = 50);

CREATE TABLE orders (
    id bigserial PRIMARY KEY,
    account bigint NOT NULL,
    market smallint NOT NULL,
    side smallint NOT NULL,
    time_in_force text NOT NULL,
    price bigint NOT NULL,
    qty bigint NOT NULL,
    leaves bigint NOT NULL CHECK (leaves >= 0),
    status text NOT NULL,
    client_order_id text NOT NULL,
    created_at timestamptz NOT NULL DEFAULT now()
) WITH (fillfactor = 80);
CREATE UNIQUE INDEX orders_open_name ON orders (account, client_order_id) WHERE status IN ('NEW', 'PARTIALLY_FILLED');
CREATE INDEX orders_open_bids ON orders (market, price DESC, id) WHERE side = 0 AND status IN ('NEW', 'PARTIALLY_FILLED');
CREATE INDEX orders_open_asks ON orders (market, price, id) WHERE side = 1 AND status IN ('NEW', 'PARTIALLY_FILLED');

CREATE TABLE trades (
    id bigserial PRIMARY KEY,
    market smallint NOT NULL,
    price bigint NOT NULL,
    qty bigint NOT NULL,
    taker_order bigint NOT NULL,
    maker_order bigint NOT NULL,
    taker bigint NOT NULL,
    maker bigint NOT NULL,
    taker_fee bigint NOT NULL,
    maker_fee bigint NOT NULL,
    created_at timestamptz NOT NULL DEFAULT now()
);
CREATE INDEX trades_of_market ON trades (market, id);
