-- Differs from SQLite: one statement, with the ids as an array.

-- name: traces_drop
-- Remove the notes and effects of :ids, jobs that have left for good. Returns the ids of each.
WITH effect AS (
    DELETE FROM dibs_effects WHERE job_id = ANY (:ids::bigint[]) RETURNING job_id
), note AS (
    DELETE FROM dibs_notes WHERE job_id = ANY (:ids::bigint[]) RETURNING job_id
)
SELECT job_id FROM effect UNION SELECT job_id FROM note;
