-- Differs from SQLite: its own catalogue.

-- name: schema_exists
-- One row where dibs was ever migrated here.
SELECT 1 WHERE to_regclass('dibs_migrations') IS NOT NULL;

-- name: schema_lock
-- Let one migration in at a time, until the transaction ends; it waits as long as the others take.
SET LOCAL lock_timeout = 0;
SELECT 1 FROM (SELECT pg_advisory_xact_lock(7235441970186)) AS lock;
