-- Responses that providers keep: where each lies, and whose it is.
CREATE TABLE llm_responses (
    id          TEXT   NOT NULL PRIMARY KEY,    -- as the provider gave it
    provider    TEXT   NOT NULL,
    owner       TEXT   NOT NULL,                -- a scope, or user/<name>
    created_us  BIGINT NOT NULL
);
CREATE INDEX llm_responses_by_age ON llm_responses (created_us);
