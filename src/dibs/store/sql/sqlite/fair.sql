-- Differs from PostgreSQL: the rows come as JSON.

-- name: fair_join
-- Tenants have jobs that wait; those who had none start at the time of their queue.
INSERT INTO dibs_tenants (key, queue, pass)
SELECT json_extract(i.value, '$[0]'), json_extract(i.value, '$[1]'), COALESCE(
    (SELECT t.full_at FROM dibs_limit_keys AS t WHERE t.key = json_extract(i.value, '$[2]')), 0
)
FROM json_each(:rows) AS i WHERE true ON CONFLICT (key) DO NOTHING;

-- name: fair_pass
-- Keep the passes of tenants; those without one, who have no jobs waiting, leave. The time of the
-- queue is :time, unless it is later already.
UPDATE dibs_limit_keys SET full_at = MAX(full_at, :time) WHERE key = :time_key;
DELETE FROM dibs_tenants WHERE key IN (
    SELECT json_extract(value, '$[0]') FROM json_each(:rows)
    WHERE json_extract(value, '$[1]') IS NULL
);
UPDATE dibs_tenants AS t SET pass = i.pass
FROM (
    SELECT json_extract(value, '$[0]') AS key, json_extract(value, '$[1]') AS pass
    FROM json_each(:rows)
) AS i
WHERE t.key = i.key;
