ALTER TABLE deployments ADD COLUMN settings TEXT
