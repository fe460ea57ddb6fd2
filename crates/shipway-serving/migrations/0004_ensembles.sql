CREATE TABLE ensembles (
    name TEXT NOT NULL PRIMARY KEY,
    spec TEXT NOT NULL,
    version BIGINT NOT NULL,
    created_at BIGINT NOT NULL,
    updated_at BIGINT NOT NULL,
    updated_by TEXT NOT NULL
)
