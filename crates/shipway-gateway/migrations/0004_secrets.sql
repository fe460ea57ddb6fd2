-- Secrets of providers, encrypted with a key that is not here.
CREATE TABLE llm_secrets (
    name       TEXT   NOT NULL PRIMARY KEY,
    key_id     TEXT   NOT NULL,     -- of the key that it is encrypted with
    sealed     BLOB   NOT NULL,     -- nonce, text, tag of AES-256-GCM; name and key_id are authenticated with it
    changed_us BIGINT NOT NULL,
    changed_by TEXT   NOT NULL
);
