-- Files that lie at providers: where each lies, and whose it is.
CREATE TABLE llm_files (
    id          TEXT   NOT NULL,    -- as the provider gave it
    provider    TEXT   NOT NULL,
    owner       TEXT   NOT NULL,    -- a scope, or user/<name>
    purpose     TEXT   NOT NULL,
    object      TEXT   NOT NULL,    -- what the provider said of it last: JSON
    plan        TEXT,               -- of a file of calls: what they ask and may cost; JSON
    created_us  BIGINT NOT NULL,
    PRIMARY KEY (id, provider)
);
CREATE INDEX llm_files_of_owner ON llm_files (owner, created_us);
-- Batches: files of calls that a provider works off.
CREATE TABLE llm_batches (
    id          TEXT   NOT NULL,
    provider    TEXT   NOT NULL,
    owner       TEXT   NOT NULL,
    object      TEXT   NOT NULL,
    charge      TEXT   NOT NULL,    -- whom it was charged to, and how much; JSON
    created_us  BIGINT NOT NULL,
    asked_us    BIGINT NOT NULL,    -- when the provider was asked about it last
    settled_us  BIGINT,             -- when what it did cost was booked; null: not yet
    PRIMARY KEY (id, provider)
);
CREATE INDEX llm_batches_of_owner ON llm_batches (owner, created_us);
CREATE INDEX llm_batches_by_asked ON llm_batches (asked_us) WHERE settled_us IS NULL;
