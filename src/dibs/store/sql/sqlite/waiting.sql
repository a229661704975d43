-- Differs from PostgreSQL: several statements, the first of which says where the job waits.

-- name: job_reprioritize
-- Give a job that waits :priority. Returns its id, or nothing where it does not wait.
-- keep: waiting
SELECT job_id FROM dibs_ready WHERE job_id = :id
UNION ALL
SELECT j.id FROM dibs_jobs AS j
JOIN dibs_scheduled AS s ON s.due = j.scheduled_at AND s.job_id = j.id WHERE j.id = :id
UNION ALL
SELECT job_id FROM dibs_blocked WHERE job_id = :id;
UPDATE dibs_ready SET priority = :priority
WHERE job_id IN (SELECT value FROM json_each(:waiting));
UPDATE dibs_blocked SET priority = :priority
WHERE job_id IN (SELECT value FROM json_each(:waiting));
UPDATE dibs_jobs SET priority = :priority
WHERE id IN (SELECT value FROM json_each(:waiting));
SELECT value FROM json_each(:waiting);
