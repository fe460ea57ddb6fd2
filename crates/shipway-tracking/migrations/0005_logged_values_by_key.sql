-- What is logged lies in the order of its key, in one tree instead of a table and an index beside it: half the pages for each point.
--
-- Points refer to no row: their run is looked up once for each request that logs, in the same transaction, and a reference would look it
-- up once for each point. So whoever removes a run removes its points.

CREATE TABLE metrics_by_key (
    run_id TEXT NOT NULL,
    key TEXT NOT NULL,
    step BIGINT NOT NULL,
    timestamp_ms BIGINT NOT NULL,
    value DOUBLE PRECISION NOT NULL,
    is_nan BIGINT NOT NULL,
    PRIMARY KEY (run_id, key, step, timestamp_ms, value, is_nan)
) WITHOUT ROWID;

INSERT INTO metrics_by_key (run_id, key, step, timestamp_ms, value, is_nan)
SELECT run_id, key, step, timestamp_ms, value, is_nan FROM metrics ORDER BY run_id, key, step, timestamp_ms, value, is_nan;

DROP TABLE metrics;

ALTER TABLE metrics_by_key RENAME TO metrics;

CREATE TABLE latest_metrics_by_key (
    run_id TEXT NOT NULL REFERENCES runs (run_id) ON DELETE CASCADE,
    key TEXT NOT NULL,
    experiment_id BIGINT NOT NULL,
    step BIGINT NOT NULL,
    timestamp_ms BIGINT NOT NULL,
    value DOUBLE PRECISION NOT NULL,
    is_nan BIGINT NOT NULL,
    PRIMARY KEY (run_id, key)
) WITHOUT ROWID;

INSERT INTO latest_metrics_by_key (run_id, key, experiment_id, step, timestamp_ms, value, is_nan)
SELECT run_id, key, experiment_id, step, timestamp_ms, value, is_nan FROM latest_metrics ORDER BY run_id, key;

DROP TABLE latest_metrics;

ALTER TABLE latest_metrics_by_key RENAME TO latest_metrics;

CREATE INDEX latest_metrics_by_value ON latest_metrics (experiment_id, key, is_nan, value);

CREATE TABLE run_tags_by_key (
    run_id TEXT NOT NULL REFERENCES runs (run_id) ON DELETE CASCADE,
    key TEXT NOT NULL,
    value TEXT NOT NULL,
    PRIMARY KEY (run_id, key)
) WITHOUT ROWID;

INSERT INTO run_tags_by_key (run_id, key, value) SELECT run_id, key, value FROM run_tags ORDER BY run_id, key;

DROP TABLE run_tags;

ALTER TABLE run_tags_by_key RENAME TO run_tags;

CREATE TABLE run_params_by_key (
    run_id TEXT NOT NULL REFERENCES runs (run_id) ON DELETE CASCADE,
    key TEXT NOT NULL,
    value TEXT NOT NULL,
    PRIMARY KEY (run_id, key)
) WITHOUT ROWID;

INSERT INTO run_params_by_key (run_id, key, value) SELECT run_id, key, value FROM run_params ORDER BY run_id, key;

DROP TABLE run_params;

ALTER TABLE run_params_by_key RENAME TO run_params;
