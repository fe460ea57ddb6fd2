-- The greatest id that was given; ids are never given twice.
CREATE TABLE access_ids (
    last BIGINT NOT NULL PRIMARY KEY
);
INSERT INTO access_ids (last) VALUES (0);
CREATE TABLE access_users (
    id            BIGINT NOT NULL PRIMARY KEY,
    name          TEXT   NOT NULL UNIQUE,
    password_hash TEXT,             -- null: signs in with tokens only
    is_admin      BIGINT NOT NULL,
    created_us    BIGINT NOT NULL
);
CREATE TABLE access_roles (
    id          BIGINT NOT NULL PRIMARY KEY,
    name        TEXT   NOT NULL UNIQUE,
    description TEXT   NOT NULL,
    owner_id    BIGINT UNIQUE,      -- the user whose own grants these are
    created_us  BIGINT NOT NULL
);
CREATE TABLE access_grants (
    id          BIGINT NOT NULL PRIMARY KEY,
    role_id     BIGINT NOT NULL,
    resource    TEXT   NOT NULL,
    resource_id TEXT   NOT NULL,    -- empty: every one
    level       TEXT   NOT NULL,
    UNIQUE (role_id, resource, resource_id)
);
CREATE INDEX access_grants_of_resource ON access_grants (resource, resource_id);
CREATE TABLE access_assignments (
    id      BIGINT NOT NULL PRIMARY KEY,
    user_id BIGINT NOT NULL,
    role_id BIGINT NOT NULL,
    UNIQUE (user_id, role_id)
);
CREATE TABLE access_tokens (
    id          TEXT   NOT NULL PRIMARY KEY,
    user_id     BIGINT NOT NULL,
    name        TEXT   NOT NULL,
    secret_hash TEXT   NOT NULL,
    scopes      TEXT   NOT NULL,    -- a JSON list of grants; empty: all that the user may do
    created_us  BIGINT NOT NULL,
    expires_us  BIGINT NOT NULL
);
CREATE INDEX access_tokens_of_user ON access_tokens (user_id)
