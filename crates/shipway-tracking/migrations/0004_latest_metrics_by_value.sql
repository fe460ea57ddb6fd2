-- The latest metrics know their experiment, so that an index answers which runs of an experiment have the best value of a metric.

CREATE TABLE latest_metrics_by_experiment (
    run_id TEXT NOT NULL REFERENCES runs (run_id) ON DELETE CASCADE,
    key TEXT NOT NULL,
    experiment_id BIGINT NOT NULL,
    step BIGINT NOT NULL,
    timestamp_ms BIGINT NOT NULL,
    value DOUBLE PRECISION NOT NULL,
    is_nan BIGINT NOT NULL,
    PRIMARY KEY (run_id, key)
);

INSERT INTO latest_metrics_by_experiment (run_id, key, experiment_id, step, timestamp_ms, value, is_nan)
SELECT m.run_id, m.key, r.experiment_id, m.step, m.timestamp_ms, m.value, m.is_nan
FROM latest_metrics m JOIN runs r ON r.run_id = m.run_id;

DROP TABLE latest_metrics;

ALTER TABLE latest_metrics_by_experiment RENAME TO latest_metrics;

CREATE INDEX latest_metrics_by_value ON latest_metrics (experiment_id, key, is_nan, value);

-- Searches page through the runs of an experiment from the newest.
CREATE INDEX runs_by_start ON runs (experiment_id, lifecycle, start_ms DESC, run_id);

DROP INDEX runs_by_experiment;
