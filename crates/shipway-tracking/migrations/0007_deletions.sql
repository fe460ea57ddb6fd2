-- Since when a deleted thing counts as deleted. It is noted when it is deleted or, for what was deleted before, when it is first seen.
CREATE TABLE deletions (
    kind TEXT NOT NULL,
    item TEXT NOT NULL,
    deleted_ms BIGINT NOT NULL,
    PRIMARY KEY (kind, item)
);

-- Blobs that a path has let go, and that no other path may need: looked at, and then removed or kept.
CREATE TABLE loose_blobs (
    digest TEXT NOT NULL PRIMARY KEY
);

CREATE INDEX artifacts_by_digest ON artifacts (digest);

CREATE INDEX model_versions_by_run ON model_versions (run_id);

CREATE INDEX model_versions_by_model ON model_versions (model_id);
