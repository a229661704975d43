-- Differs from PostgreSQL: its own catalogue.

-- name: schema_exists
-- One row where dibs was ever migrated here.
SELECT 1 FROM sqlite_schema WHERE type = 'table' AND name = 'dibs_migrations';

-- name: schema_lock
-- Nothing to do: a write transaction is alone on SQLite.
SELECT 1;
