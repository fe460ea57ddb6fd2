-- Every schema that events of a source were ever logged with, so that old log records decode for ever.
CREATE TABLE feature_source_schemas (
    source TEXT NOT NULL,
    fingerprint BIGINT NOT NULL,
    columns TEXT NOT NULL,
    PRIMARY KEY (source, fingerprint)
);

-- Files loaded in bulk. `state` goes from started to written (rows are in the Delta table) to marked (the load marker is in
-- the log at `marker_offset`, which is the arrival of every row of the load). Plain tables end at written.
CREATE TABLE feature_loads (
    table_name TEXT NOT NULL,
    load_id TEXT NOT NULL,
    state TEXT NOT NULL,
    row_count BIGINT NOT NULL,
    skipped_count BIGINT NOT NULL,
    newest_us BIGINT,
    table_version BIGINT NOT NULL,
    marker_offset BIGINT,
    started_at BIGINT NOT NULL,
    PRIMARY KEY (table_name, load_id)
);

-- Views whose marker was appended to the log of their source.
CREATE TABLE feature_view_markers (
    view_hash TEXT NOT NULL PRIMARY KEY,
    source TEXT NOT NULL,
    marker_offset BIGINT NOT NULL
);
