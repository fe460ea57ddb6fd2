-- Grows with every change of keys, groups and limits, so that servers beside the one that made it notice. One row.
CREATE TABLE llm_changes (
    id      BIGINT NOT NULL PRIMARY KEY,
    version BIGINT NOT NULL
);
-- Servers that share keys and limits.
CREATE TABLE llm_servers (
    server   TEXT   NOT NULL PRIMARY KEY,   -- the id in its data folder
    is_owner BIGINT NOT NULL,
    beat     BIGINT NOT NULL,               -- grows while it runs
    seen_us  BIGINT NOT NULL,               -- by the clock of the database
    carried  BIGINT NOT NULL                -- of a replica: up to where its calls were sent to the owner
);
-- The books of replicas; those of the owner are in llm_books.
CREATE TABLE llm_server_books (
    server      TEXT   NOT NULL PRIMARY KEY,
    next_offset BIGINT NOT NULL,
    books       TEXT   NOT NULL             -- JSON
);
-- What servers use of the limits of one key or group, and what each of them has leased.
CREATE TABLE llm_pools (
    scope     TEXT   NOT NULL PRIMARY KEY,  -- key/<id> or group/<name>
    is_hungry BIGINT NOT NULL,              -- a server waits for what others have leased
    pool      TEXT   NOT NULL               -- JSON
);
CREATE INDEX llm_hungry_pools ON llm_pools (is_hungry);
-- Settled calls on the way from a replica to the table of the owner.
CREATE TABLE llm_calls_sent (
    server      TEXT   NOT NULL,
    next_offset BIGINT NOT NULL,            -- of the replica's ledger, after the batch that the call is in
    place       BIGINT NOT NULL,            -- within the batch
    fact        TEXT   NOT NULL,            -- JSON
    PRIMARY KEY (server, next_offset, place)
);
