-- Differs from PostgreSQL: the one writer needs no row locks, and ids come as JSON.

-- name: keys_expire
-- Remove up to :count keys whose time is over. Returns them.
DELETE FROM dibs_keys WHERE key IN (
    SELECT key FROM dibs_keys WHERE expires_at <= :now ORDER BY expires_at LIMIT :count
) RETURNING key;

-- name: traces_drop
-- Remove the notes and effects of :ids, jobs that have left for good. Returns the ids of each.
DELETE FROM dibs_effects WHERE job_id IN (SELECT value FROM json_each(:ids));
DELETE FROM dibs_notes WHERE job_id IN (SELECT value FROM json_each(:ids));
SELECT value FROM json_each(:ids);
