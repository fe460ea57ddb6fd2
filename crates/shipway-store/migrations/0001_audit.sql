CREATE TABLE audit_entries (
    id      TEXT   NOT NULL PRIMARY KEY,
    at_us   BIGINT NOT NULL,
    actor   TEXT   NOT NULL,
    action  TEXT   NOT NULL,
    subject TEXT   NOT NULL,
    detail  TEXT   NOT NULL
);

CREATE INDEX audit_entries_by_time ON audit_entries (at_us, id);
