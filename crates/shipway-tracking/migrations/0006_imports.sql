-- What was brought from elsewhere: the digest of what the source said of an item when the last of it was here. An item whose source
-- still says the same is passed over by the next import.
CREATE TABLE imports (
    kind TEXT NOT NULL,
    item TEXT NOT NULL,
    digest TEXT NOT NULL,
    done_ms BIGINT NOT NULL,
    PRIMARY KEY (kind, item)
);
