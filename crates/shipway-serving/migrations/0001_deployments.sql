CREATE TABLE deployments (
    name TEXT NOT NULL PRIMARY KEY,
    model TEXT NOT NULL,
    alias TEXT NOT NULL,
    service TEXT,
    created_at BIGINT NOT NULL,
    updated_at BIGINT NOT NULL,
    updated_by TEXT NOT NULL
)
