-- What a key says about its calls beside their models: routes, tools, whose they are.
ALTER TABLE llm_keys ADD COLUMN terms TEXT NOT NULL DEFAULT '{}';    -- JSON
-- Users and tags that limits hold for, whatever the key.
CREATE TABLE llm_labels (
    kind        TEXT   NOT NULL,    -- user or tag
    name        TEXT   NOT NULL,    -- of a tag name=value
    limits      TEXT   NOT NULL,    -- JSON
    created_us  BIGINT NOT NULL,
    PRIMARY KEY (kind, name)
);
