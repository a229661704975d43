-- Differs from PostgreSQL: several statements, the first of which says where the job waits.

-- name: job_cancel
-- Cancel a job that waits. Returns its id, or nothing where it does not wait.
-- keep: waiting
SELECT job_id FROM dibs_ready WHERE job_id = :id
UNION ALL
SELECT j.id FROM dibs_jobs AS j
JOIN dibs_scheduled AS s ON s.due = j.scheduled_at AND s.job_id = j.id WHERE j.id = :id
UNION ALL
SELECT job_id FROM dibs_blocked WHERE job_id = :id;
INSERT INTO dibs_history (
    id, kind, queue, priority, state, args, max_attempts, attempt, crashes, scheduled_at,
    created_at, finished_at, error, reason
)
SELECT id, kind, queue, priority, 'cancelled', args, max_attempts, attempt, crashes, scheduled_at,
    created_at, :now, error, :reason
FROM dibs_jobs WHERE id IN (SELECT value FROM json_each(:waiting));
INSERT INTO dibs_counters (minute, worker, queue, kind, priority, outcome, count, wait, run)
SELECT :now / 60000000, '', queue, kind, priority, 'cancelled', 1, 0, 0
FROM dibs_jobs WHERE id IN (SELECT value FROM json_each(:waiting))
ON CONFLICT (minute, worker, queue, kind, priority, outcome) DO UPDATE SET count = count + 1;
INSERT INTO dibs_arrivals (key, count)
SELECT json_extract(need.value, '$[0]'), 1 FROM dibs_jobs AS j CROSS JOIN json_each(j.limits) AS need
WHERE j.id IN (SELECT value FROM json_each(:waiting)) AND NOT EXISTS (
    SELECT 1 FROM dibs_scheduled AS s WHERE s.due = j.scheduled_at AND s.job_id = j.id
);
DELETE FROM dibs_ready WHERE job_id IN (SELECT value FROM json_each(:waiting));
DELETE FROM dibs_scheduled WHERE (due, job_id) = (
    SELECT scheduled_at, id FROM dibs_jobs WHERE id IN (SELECT value FROM json_each(:waiting))
);
DELETE FROM dibs_blocked WHERE job_id IN (SELECT value FROM json_each(:waiting));
DELETE FROM dibs_jobs WHERE id IN (SELECT value FROM json_each(:waiting));
DELETE FROM dibs_keys
WHERE job_id IN (SELECT value FROM json_each(:waiting)) AND during <> 'period';
SELECT value FROM json_each(:waiting);

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

-- name: job_reschedule
-- Have a job that waits start from :scheduled_at on, or, where it is NULL, :delay microseconds from
-- now: it is ready where that has come, and scheduled otherwise. One that is blocked stays so where
-- it has come. Returns its id, or nothing where it does not wait.
-- keep: waiting
SELECT job_id FROM dibs_ready WHERE job_id = :id
UNION ALL
SELECT j.id FROM dibs_jobs AS j
JOIN dibs_scheduled AS s ON s.due = j.scheduled_at AND s.job_id = j.id WHERE j.id = :id
UNION ALL
SELECT job_id FROM dibs_blocked WHERE job_id = :id;
DELETE FROM dibs_ready WHERE job_id IN (SELECT value FROM json_each(:waiting));
DELETE FROM dibs_scheduled WHERE (due, job_id) = (
    SELECT scheduled_at, id FROM dibs_jobs WHERE id IN (SELECT value FROM json_each(:waiting))
);
UPDATE dibs_jobs SET scheduled_at = COALESCE(:scheduled_at, :now + :delay)
WHERE id IN (SELECT value FROM json_each(:waiting));
UPDATE dibs_blocked SET scheduled_at = COALESCE(:scheduled_at, :now + :delay)
WHERE job_id IN (SELECT value FROM json_each(:waiting));
DELETE FROM dibs_blocked
WHERE job_id IN (SELECT value FROM json_each(:waiting)) AND scheduled_at > :now;
INSERT INTO dibs_ready (job_id, queue, priority, scheduled_at)
SELECT id, queue, priority, scheduled_at FROM dibs_jobs
WHERE id IN (SELECT value FROM json_each(:waiting)) AND scheduled_at <= :now
    AND NOT EXISTS (SELECT 1 FROM dibs_blocked AS b WHERE b.job_id = dibs_jobs.id);
INSERT INTO dibs_scheduled (due, job_id)
SELECT scheduled_at, id FROM dibs_jobs
WHERE id IN (SELECT value FROM json_each(:waiting)) AND scheduled_at > :now;
SELECT value FROM json_each(:waiting);
