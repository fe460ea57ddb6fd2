-- Workspaces: what keeps experiments, models, evaluation data sets and webhooks of different groups apart. What was here is in `default`.
-- An empty artifact_root means that files lie where they lie without one.
CREATE TABLE workspaces (
    name TEXT NOT NULL PRIMARY KEY,
    description TEXT,
    artifact_root TEXT NOT NULL,
    created_ms BIGINT NOT NULL
);

INSERT INTO workspaces (name, description, artifact_root, created_ms) VALUES ('default', NULL, '', 0);

-- The unique name of an experiment is `workspace/name` now; its own name stands beside it. No name of a workspace has a slash.
ALTER TABLE experiments RENAME COLUMN name TO full_name;

ALTER TABLE experiments ADD COLUMN name TEXT NOT NULL DEFAULT '';

ALTER TABLE experiments ADD COLUMN workspace TEXT NOT NULL DEFAULT 'default';

UPDATE experiments SET name = full_name;

UPDATE experiments SET full_name = 'default/' || name;

CREATE INDEX experiments_by_workspace ON experiments (workspace, lifecycle);

-- The name of a registered model is its key: `workspace/name` outside of `default`, where no model has a slash in its own name.
ALTER TABLE registered_models ADD COLUMN workspace TEXT NOT NULL DEFAULT 'default';

ALTER TABLE model_versions ADD COLUMN workspace TEXT NOT NULL DEFAULT 'default';

CREATE INDEX registered_models_by_workspace ON registered_models (workspace, name);

CREATE INDEX model_versions_by_workspace ON model_versions (workspace, name, version);

ALTER TABLE evaluation_datasets ADD COLUMN workspace TEXT NOT NULL DEFAULT 'default';

CREATE INDEX evaluation_datasets_by_workspace ON evaluation_datasets (workspace, created_ms, dataset_id);

ALTER TABLE webhooks ADD COLUMN workspace TEXT NOT NULL DEFAULT 'default';

CREATE INDEX webhooks_by_workspace ON webhooks (workspace, created_ms, webhook_id);
