-- name: schema_create
-- The table that tells which migrations ran.
CREATE TABLE IF NOT EXISTS dibs_migrations (
    version INTEGER PRIMARY KEY, name TEXT NOT NULL, applied_at BIGINT NOT NULL
);

-- name: schema_version
-- The number of the newest migration that ran, or NULL.
SELECT MAX(version) FROM dibs_migrations;

-- name: schema_applied
-- Remember that a migration ran.
INSERT INTO dibs_migrations (version, name, applied_at) VALUES (:version, :name, :now);
