-- Differs from PostgreSQL: several statements, with the ids as JSON.

-- name: traces_drop
-- Remove the notes and effects of :ids, jobs that have left for good. Returns the ids of each.
DELETE FROM dibs_effects WHERE job_id IN (SELECT value FROM json_each(:ids));
DELETE FROM dibs_notes WHERE job_id IN (SELECT value FROM json_each(:ids));
SELECT value FROM json_each(:ids);
