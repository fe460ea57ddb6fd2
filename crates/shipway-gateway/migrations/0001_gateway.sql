CREATE TABLE llm_groups (
    name        TEXT   NOT NULL PRIMARY KEY,
    kind        TEXT   NOT NULL,    -- organisation, team or project
    parent      TEXT,               -- the group that it is part of
    limits      TEXT   NOT NULL,    -- JSON
    created_us  BIGINT NOT NULL
);
CREATE TABLE llm_keys (
    id              TEXT   NOT NULL PRIMARY KEY,
    name            TEXT   NOT NULL,
    secret_hash     TEXT   NOT NULL,    -- SHA-256 of 256 random bits
    previous_hash   TEXT,               -- the secret before the last rotation
    previous_until_us BIGINT,           -- until when it is still taken
    group_name      TEXT,
    models          TEXT   NOT NULL,    -- a JSON list; empty: every model
    limits          TEXT   NOT NULL,    -- JSON
    created_by      TEXT   NOT NULL,
    created_us      BIGINT NOT NULL,
    expires_us      BIGINT              -- null: never
);
CREATE INDEX llm_keys_of_group ON llm_keys (group_name);
-- What the ledger comes to up to an offset of its log. One row.
CREATE TABLE llm_books (
    id          BIGINT NOT NULL PRIMARY KEY,
    next_offset BIGINT NOT NULL,
    books       TEXT   NOT NULL         -- JSON
);
