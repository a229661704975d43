-- Differs from SQLite: the rows come as arrays.

-- name: fair_join
-- Tenants have jobs that wait; those who had none start at the time of their queue.
INSERT INTO dibs_tenants (key, queue, pass)
SELECT key, queue, COALESCE((SELECT t.full_at FROM dibs_limit_keys AS t WHERE t.key = time_key), 0)
FROM unnest(:rows_key::text[], :rows_queue::text[], :rows_time_key::text[])
    AS i (key, queue, time_key)
ORDER BY key COLLATE "C" ON CONFLICT (key) DO NOTHING;

-- name: fair_pass
-- Keep the passes of tenants; those without one, who have no jobs waiting, leave. The time of the
-- queue is :time, unless it is later already.
WITH input AS MATERIALIZED (
    SELECT * FROM unnest(:rows_key::text[], :rows_pass::bigint[]) AS i (key, pass)
), left_off AS (
    DELETE FROM dibs_tenants
    WHERE key = ANY (ARRAY(SELECT key FROM input WHERE pass IS NULL))
), kept AS (
    UPDATE dibs_limit_keys SET full_at = GREATEST(full_at, :time) WHERE key = :time_key
)
UPDATE dibs_tenants AS t SET pass = i.pass FROM input AS i
WHERE t.key = ANY (ARRAY(SELECT key FROM input WHERE pass IS NOT NULL)) AND t.key = i.key;
