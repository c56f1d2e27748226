-- Trained models. The files of version N are in the data folder, models/N/, under digests that the manifest holds.

CREATE TABLE models (
    version bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    name text NOT NULL,
    horizon_ns bigint NOT NULL,
    -- ml.forecast.Manifest
    manifest jsonb NOT NULL,
    created_ns bigint NOT NULL,
    -- Null: not in service.
    promoted_ns bigint
);

-- One model answers for a horizon.
CREATE UNIQUE INDEX models_promoted ON models (horizon_ns) WHERE promoted_ns IS NOT NULL;
