-- When each batch source was asked to look for news, for which definition of its batch part, and how the last look ended.
CREATE TABLE batch_sources (
    source          TEXT   NOT NULL PRIMARY KEY,
    definition      TEXT   NOT NULL,
    asked_us        BIGINT NOT NULL,
    job_id          TEXT   NOT NULL,
    ended_us        BIGINT,
    problem_code    TEXT,
    problem_message TEXT,
    problem_hint    TEXT
);

-- Every file, and every version of a table, that was ever seen for a source. `state` is loading from before its rows can be in
-- the table, then loaded or failed. A loaded one can have a problem too: its file changed. `digest` is that of the content that
-- was or is being loaded; empty for versions of tables. `is_gone`: the last
-- look did not find it any more; its rows stay.
CREATE TABLE batch_items (
    source          TEXT   NOT NULL,
    item            TEXT   NOT NULL,
    location        TEXT   NOT NULL,
    stamp           TEXT   NOT NULL,
    digest          TEXT   NOT NULL,
    load_id         TEXT   NOT NULL,
    state           TEXT   NOT NULL,
    row_count       BIGINT NOT NULL,
    skipped_count   BIGINT NOT NULL,
    problem_code    TEXT,
    problem_message TEXT,
    problem_hint    TEXT,
    is_gone         BIGINT NOT NULL,
    changed_us      BIGINT NOT NULL,
    PRIMARY KEY (source, item)
);

-- How far each Delta table was read. `first_version` is the one that was read as a whole; `read_version` the last one that was
-- looked at, null until the first is loaded.
CREATE TABLE batch_tables (
    source        TEXT   NOT NULL,
    location      TEXT   NOT NULL,
    table_id      TEXT   NOT NULL,
    first_version BIGINT NOT NULL,
    read_version  BIGINT,
    PRIMARY KEY (source, location)
);
