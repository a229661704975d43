-- Differs from SQLite: several workers prune at once; what another one has is skipped.

-- name: keys_expire
-- Remove up to :count keys whose time is over. Returns them.
-- Asked twice: a key that somebody took meanwhile has another time.
DELETE FROM dibs_keys WHERE expires_at <= :now AND key = ANY (ARRAY(
    SELECT key FROM dibs_keys WHERE expires_at <= :now
    ORDER BY expires_at LIMIT :count FOR UPDATE SKIP LOCKED
)) RETURNING key;

-- name: traces_drop
-- Remove the notes and effects of :ids, jobs that have left for good. Returns the ids of each.
WITH effect AS (
    DELETE FROM dibs_effects WHERE job_id = ANY (:ids::bigint[]) RETURNING job_id
), note AS (
    DELETE FROM dibs_notes WHERE job_id = ANY (:ids::bigint[]) RETURNING job_id
)
SELECT job_id FROM effect UNION SELECT job_id FROM note;
