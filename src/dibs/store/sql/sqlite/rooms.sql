-- Differs from PostgreSQL: the rows come as JSON.

-- name: slots_keys
-- The keys under which the jobs in :ids hold slots.
SELECT DISTINCT key FROM dibs_slots WHERE job_id IN (SELECT value FROM json_each(:ids));

-- name: slots_holders
-- Up to :most slots under :keys. Returns key and job of each.
SELECT key, job_id FROM dibs_slots WHERE key IN (SELECT value FROM json_each(:keys))
ORDER BY key, job_id LIMIT :most;

-- name: limit_hold
-- Let nothing start under keys, which are locked, before so many microseconds are over. Returns
-- those whose limits are known.
UPDATE dibs_limit_keys AS k SET held_until = MAX(k.held_until, :now + i.delay)
FROM (
    SELECT json_extract(value, '$[0]') AS key, json_extract(value, '$[1]') AS delay
    FROM json_each(:rows)
) AS i
WHERE k.key = i.key AND EXISTS (SELECT 1 FROM dibs_limits AS l WHERE l.name = k.name)
RETURNING key;
