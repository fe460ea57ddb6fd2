-- Evaluation data sets: records of inputs and what is expected of them, apart from the data sets that runs read. Columns that
-- end in _json hold JSON. An empty text means unset.

CREATE TABLE evaluation_datasets (
    dataset_id TEXT NOT NULL PRIMARY KEY,
    name TEXT NOT NULL,
    digest TEXT NOT NULL,
    schema_json TEXT NOT NULL,
    created_ms BIGINT NOT NULL,
    updated_ms BIGINT NOT NULL,
    created_by TEXT NOT NULL,
    updated_by TEXT NOT NULL
);

CREATE INDEX evaluation_datasets_by_time ON evaluation_datasets (created_ms, dataset_id);
CREATE INDEX evaluation_datasets_by_name ON evaluation_datasets (name);

CREATE TABLE evaluation_dataset_tags (
    dataset_id TEXT NOT NULL REFERENCES evaluation_datasets (dataset_id) ON DELETE CASCADE,
    key TEXT NOT NULL,
    value TEXT NOT NULL,
    PRIMARY KEY (dataset_id, key)
);

CREATE TABLE evaluation_dataset_experiments (
    dataset_id TEXT NOT NULL REFERENCES evaluation_datasets (dataset_id) ON DELETE CASCADE,
    experiment_id BIGINT NOT NULL REFERENCES experiments (experiment_id) ON DELETE CASCADE,
    PRIMARY KEY (dataset_id, experiment_id)
);

CREATE INDEX evaluation_datasets_by_experiment ON evaluation_dataset_experiments (experiment_id, dataset_id);

-- One record for each distinct inputs of a data set; inputs_digest is the digest of the inputs with sorted keys.
CREATE TABLE evaluation_records (
    record_id TEXT NOT NULL PRIMARY KEY,
    dataset_id TEXT NOT NULL REFERENCES evaluation_datasets (dataset_id) ON DELETE CASCADE,
    inputs_digest TEXT NOT NULL,
    inputs_json TEXT NOT NULL,
    outputs_json TEXT,
    expectations_json TEXT,
    tags_json TEXT NOT NULL,
    source_json TEXT,
    created_ms BIGINT NOT NULL,
    updated_ms BIGINT NOT NULL,
    created_by TEXT NOT NULL,
    updated_by TEXT NOT NULL,
    UNIQUE (dataset_id, inputs_digest)
);

CREATE INDEX evaluation_records_by_time ON evaluation_records (dataset_id, created_ms, record_id);

-- Scorers: definitions of judges, kept as the text that the client made of them. Nothing here is ever run.

CREATE TABLE scorers (
    scorer_id TEXT NOT NULL PRIMARY KEY,
    experiment_id BIGINT NOT NULL REFERENCES experiments (experiment_id) ON DELETE CASCADE,
    name TEXT NOT NULL,
    UNIQUE (experiment_id, name)
);

CREATE TABLE scorer_versions (
    scorer_id TEXT NOT NULL REFERENCES scorers (scorer_id) ON DELETE CASCADE,
    version BIGINT NOT NULL,
    serialized TEXT NOT NULL,
    created_ms BIGINT NOT NULL,
    PRIMARY KEY (scorer_id, version)
);

-- Webhooks. sealed_secret is what the signature is made with: `plain:` and the secret, or `aes256gcm:` and its encrypted form.

CREATE TABLE webhooks (
    webhook_id TEXT NOT NULL PRIMARY KEY,
    name TEXT NOT NULL,
    description TEXT NOT NULL,
    url TEXT NOT NULL,
    sealed_secret TEXT NOT NULL,
    status TEXT NOT NULL,
    created_ms BIGINT NOT NULL,
    updated_ms BIGINT NOT NULL
);

CREATE INDEX webhooks_by_time ON webhooks (created_ms, webhook_id);

CREATE TABLE webhook_events (
    webhook_id TEXT NOT NULL REFERENCES webhooks (webhook_id) ON DELETE CASCADE,
    entity TEXT NOT NULL,
    action TEXT NOT NULL,
    PRIMARY KEY (webhook_id, entity, action)
);

CREATE INDEX webhook_events_by_event ON webhook_events (entity, action);

-- What is still to be sent, written in the transaction of the change that it tells of. attempts counts those begun.
CREATE TABLE webhook_deliveries (
    delivery_id TEXT NOT NULL PRIMARY KEY,
    webhook_id TEXT NOT NULL REFERENCES webhooks (webhook_id) ON DELETE CASCADE,
    body TEXT NOT NULL,
    attempts BIGINT NOT NULL,
    due_ms BIGINT NOT NULL,
    created_ms BIGINT NOT NULL
);

CREATE INDEX webhook_deliveries_by_due ON webhook_deliveries (due_ms, delivery_id);
CREATE INDEX webhook_deliveries_by_webhook ON webhook_deliveries (webhook_id);
