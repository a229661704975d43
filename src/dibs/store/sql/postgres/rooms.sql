-- Differs from SQLite: the rows come as arrays.

-- name: slots_keys
-- The keys under which the jobs in :ids hold slots.
SELECT DISTINCT key FROM dibs_slots WHERE job_id = ANY (:ids::bigint[]);

-- name: slots_holders
-- Up to :most slots under :keys. Returns key and job of each.
SELECT key, job_id FROM dibs_slots WHERE key = ANY (:keys::text[])
ORDER BY key, job_id LIMIT :most;

-- name: limit_hold
-- Let nothing start under keys, which are locked, before so many microseconds are over. Returns
-- those whose limits are known.
UPDATE dibs_limit_keys AS k SET held_until = GREATEST(k.held_until, :now + i.delay)
FROM unnest(:rows_key::text[], :rows_delay::bigint[]) AS i (key, delay)
WHERE k.key = ANY (:rows_key::text[]) AND k.key = i.key
    AND EXISTS (SELECT 1 FROM dibs_limits AS l WHERE l.name = k.name)
RETURNING k.key;
