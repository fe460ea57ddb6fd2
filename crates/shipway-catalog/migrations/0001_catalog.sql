-- Every definition that was ever applied. A row is never changed and never removed.
CREATE TABLE catalog_revisions (
    kind          TEXT   NOT NULL,
    name          TEXT   NOT NULL,
    revision      BIGINT NOT NULL, -- 1, 2, 3, … for each definition
    hash          TEXT   NOT NULL, -- the version: what changes a value
    format        BIGINT NOT NULL, -- the form of the content
    content       TEXT   NOT NULL, -- the definition as JSON
    applied_at_us BIGINT NOT NULL,
    applied_by    TEXT   NOT NULL,
    PRIMARY KEY (kind, name, revision)
);

-- The revision of each definition that is in force now.
CREATE TABLE catalog_in_force (
    kind     TEXT   NOT NULL,
    name     TEXT   NOT NULL,
    revision BIGINT NOT NULL,
    PRIMARY KEY (kind, name),
    FOREIGN KEY (kind, name, revision) REFERENCES catalog_revisions (kind, name, revision)
);
