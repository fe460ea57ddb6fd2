-- Where each sink stands.
CREATE TABLE feature_sinks (
    sink       TEXT   NOT NULL PRIMARY KEY,
    place      TEXT   NOT NULL, -- JSON: an offset in the log of a source, or a version of a table
    skipped    BIGINT NOT NULL, -- records or versions that were gone before it had read them
    skipped_us BIGINT,          -- when it last passed over some
    noted_us   BIGINT NOT NULL
);
