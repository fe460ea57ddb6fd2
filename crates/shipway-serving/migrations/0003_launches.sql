CREATE TABLE launches (
    id TEXT NOT NULL PRIMARY KEY,
    deployment TEXT NOT NULL,
    model TEXT NOT NULL,
    candidate BIGINT NOT NULL,
    stable BIGINT NOT NULL,
    spec TEXT NOT NULL,
    started_at BIGINT NOT NULL,
    started_by TEXT NOT NULL,
    stage TEXT NOT NULL,
    step BIGINT NOT NULL,
    since BIGINT NOT NULL,
    reason TEXT
);
CREATE INDEX launches_of_a_deployment ON launches (deployment, started_at)
