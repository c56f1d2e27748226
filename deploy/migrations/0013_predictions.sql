-- What promoted models said of the market, until it is known how it went, and how good they were.

-- A row for each version and moment that it was said of.
CREATE TABLE predictions (
    version bigint NOT NULL,
    -- Market time, as all here.
    as_of_ns bigint NOT NULL,
    due_ns bigint NOT NULL,
    symbols text[] NOT NULL,
    -- float64, little-endian, [symbols, 7]: price in ticks, up, low, median, high, volatility, that of the baseline.
    forecasts bytea NOT NULL,
    PRIMARY KEY (version, as_of_ns)
);
CREATE INDEX predictions_due ON predictions (due_ns);

-- Sums over the predictions that fell due in an hour of market time; divide by `count`.
CREATE TABLE prediction_scores (
    version bigint NOT NULL,
    hour_ns bigint NOT NULL,
    count bigint NOT NULL,
    brier double precision NOT NULL,
    log_loss double precision NOT NULL,
    pinball double precision NOT NULL,
    -- Of the baseline: no drift, the last volatility.
    naive_pinball double precision NOT NULL,
    hits double precision NOT NULL,
    PRIMARY KEY (version, hour_ns)
);
