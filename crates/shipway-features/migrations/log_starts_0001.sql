-- What was known of a source when the beginning of its log was dropped last, and history does not say.
CREATE TABLE feature_log_starts (
    source       TEXT   NOT NULL PRIMARY KEY,
    watermark_us BIGINT NOT NULL, -- the newest event time
    positions    TEXT   NOT NULL, -- JSON: the next message of every partition that was ever read
    noted_us     BIGINT NOT NULL
);
