-- The truth: streams of committed batches, and snapshots as caches of their folds.

CREATE TABLE journal_stream (
    stream text PRIMARY KEY,
    epoch bigint NOT NULL,
    activated_at timestamptz NOT NULL DEFAULT now()
);

CREATE TABLE journal (
    stream text NOT NULL,
    seq bigint NOT NULL,
    epoch bigint NOT NULL,
    ts_ns bigint NOT NULL,
    payload bytea NOT NULL,
    PRIMARY KEY (stream, seq)
);
-- Batches are written once and read once in bulk: compressing them costs more than it saves.
ALTER TABLE journal ALTER COLUMN payload SET STORAGE EXTERNAL;

CREATE TABLE snapshot (
    stream text NOT NULL,
    seq bigint NOT NULL,
    created_at timestamptz NOT NULL DEFAULT now(),
    payload bytea NOT NULL,
    PRIMARY KEY (stream, seq)
);

-- What a data directory was created with and cannot change: partitions, symbols in their order.
CREATE TABLE exchange (
    single boolean PRIMARY KEY DEFAULT true CHECK (single),
    settings jsonb NOT NULL
);
