-- Training sets that are kept in tables, each with the recipe that makes it again. `recipe_key` is the digest of what decides
-- the content; `content_digest` that of the content, rows in order.
CREATE TABLE training_sets (
    table_name     TEXT   NOT NULL PRIMARY KEY,
    recipe_key     TEXT   NOT NULL,
    recipe         TEXT   NOT NULL,
    row_count      BIGINT NOT NULL,
    table_version  BIGINT NOT NULL,
    content_digest TEXT   NOT NULL,
    created_us     BIGINT NOT NULL
);

-- The moment at which the marker of each bulk load went into the log. Loads before this table have none: they count from the
-- moment at which they began.
CREATE TABLE feature_load_moments (
    table_name TEXT   NOT NULL,
    load_id    TEXT   NOT NULL,
    marked_us  BIGINT NOT NULL,
    PRIMARY KEY (table_name, load_id)
);
