-- Finished replays of what deployments served. A replay that could not be made has an error instead of counts.
CREATE TABLE feature_verifications (
    verification_id TEXT NOT NULL PRIMARY KEY,
    deployment TEXT NOT NULL,
    ended_us BIGINT NOT NULL,
    compared BIGINT NOT NULL,
    differing BIGINT NOT NULL,
    late_events BIGINT NOT NULL,
    error TEXT
);

CREATE INDEX feature_verifications_by_deployment ON feature_verifications (deployment, ended_us);
