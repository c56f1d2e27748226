-- The tape and the candles of a second by UTC day of market time: a day goes by dropping its table, and a query about
-- one day opens no other. Minutes and hours stay for ever.

-- Days count from the epoch. True when the partition was made, false when it was there. May run at once with itself
-- and with readers and writers: to attach an empty table waits for nobody who reads or writes.
CREATE FUNCTION make_day_partition(parent text, day bigint) RETURNS boolean LANGUAGE plpgsql AS $$
DECLARE
    name text := parent || '_' || to_char(to_timestamp(day * 86400) AT TIME ZONE 'UTC', 'YYYYMMDD');
    day_ns CONSTANT bigint := 86400000000000;
BEGIN
    IF to_regclass(quote_ident(name)) IS NOT NULL THEN
        RETURN false;
    END IF;
    -- The lock that ATTACH takes: one makes at a time, and sees what the one before has made.
    EXECUTE format('LOCK TABLE %I IN SHARE UPDATE EXCLUSIVE MODE', parent);
    IF to_regclass(quote_ident(name)) IS NOT NULL THEN
        RETURN false;
    END IF;
    EXECUTE format('CREATE TABLE %I (LIKE %I INCLUDING DEFAULTS INCLUDING CONSTRAINTS)', name, parent);
    EXECUTE format(
        'ALTER TABLE %I ATTACH PARTITION %I FOR VALUES FROM (%s) TO (%s)', parent, name, day * day_ns, (day + 1) * day_ns
    );
    RETURN true;
END $$;

ALTER TABLE trades RENAME TO whole_trades;
ALTER INDEX trades_pkey RENAME TO whole_trades_pkey;
ALTER INDEX trades_agg RENAME TO whole_trades_agg;
CREATE TABLE trades (LIKE whole_trades INCLUDING DEFAULTS) PARTITION BY RANGE (ts_ns);
SELECT make_day_partition('trades', day) FROM (SELECT DISTINCT ts_ns / 86400000000000 AS day FROM whole_trades) AS days;
INSERT INTO trades SELECT * FROM whole_trades;
DROP TABLE whole_trades;
-- A trade has one time, that of its batch: told again it is found again. Ids alone are looked up in every day's index.
ALTER TABLE trades ADD CONSTRAINT trades_pkey PRIMARY KEY (symbol, trade_id, ts_ns);
CREATE INDEX trades_agg ON trades (symbol, agg_id);
-- Rows come in order of time.
CREATE INDEX trades_ts ON trades USING brin (ts_ns) WITH (pages_per_range = 32, autosummarize = on);

ALTER TABLE candles RENAME TO whole_candles;
ALTER INDEX candles_pkey RENAME TO whole_candles_pkey;
CREATE TABLE candles (LIKE whole_candles INCLUDING DEFAULTS) PARTITION BY LIST (width_s);
CREATE TABLE candles_1 PARTITION OF candles FOR VALUES IN (1) PARTITION BY RANGE (open_ns);
CREATE TABLE candles_kept PARTITION OF candles DEFAULT;
SELECT make_day_partition('candles_1', day)
FROM (SELECT DISTINCT open_ns / 86400000000000 AS day FROM whole_candles WHERE width_s = 1) AS days;
INSERT INTO candles SELECT * FROM whole_candles;
DROP TABLE whole_candles;
ALTER TABLE candles ADD CONSTRAINT candles_pkey PRIMARY KEY (symbol, width_s, open_ns);

-- Scheduled work: when it runs, and how it went the last time.
CREATE TABLE jobs (
    name text PRIMARY KEY,
    schedule text NOT NULL,
    state text NOT NULL DEFAULT 'waiting' CHECK (state IN ('waiting', 'running', 'failed')),
    -- Of the run under way, 0 to 1; null: not told.
    progress real,
    started_at timestamptz,
    finished_at timestamptz,
    succeeded_at timestamptz,
    duration_s double precision,
    result jsonb,
    error text,
    -- In a row; 0: the last run went well.
    failures integer NOT NULL DEFAULT 0,
    next_run_at timestamptz,
    -- Somebody wants it now.
    asked_at timestamptz
);

-- How good the stored data of a day are: a row for each symbol that traded or should have.
CREATE TABLE quality_days (
    day date NOT NULL,
    symbol text NOT NULL,
    trades bigint NOT NULL,
    missing_trades bigint NOT NULL,
    candles bigint NOT NULL,
    wrong_candles bigint NOT NULL,
    score numeric(5, 2) NOT NULL CHECK (score BETWEEN 0 AND 100),
    checked_at timestamptz NOT NULL DEFAULT now(),
    PRIMARY KEY (day, symbol)
);
