-- Builds of the state of a view that have ended. One that took the place of a state has compared it, key by key.
CREATE TABLE feature_builds (
    build_id      TEXT   NOT NULL PRIMARY KEY,
    view_name     TEXT   NOT NULL,
    view_hash     TEXT   NOT NULL,
    source        TEXT   NOT NULL,
    row_count     BIGINT NOT NULL,
    spent_us      BIGINT NOT NULL,
    key_count     BIGINT,
    differing     BIGINT,
    ended_us      BIGINT NOT NULL
);

CREATE INDEX feature_builds_by_view ON feature_builds (view_hash, ended_us);

-- The versions of each service and view in the order in which they came into force.
CREATE TABLE feature_versions (
    kind     TEXT   NOT NULL,
    name     TEXT   NOT NULL,
    position BIGINT NOT NULL,
    hash     TEXT   NOT NULL,
    PRIMARY KEY (kind, name, position)
);

-- Versions of views that nothing needs, since when. Their states are removed after a while.
CREATE TABLE feature_unneeded_views (
    view_hash TEXT   NOT NULL PRIMARY KEY,
    since_us  BIGINT NOT NULL
);
