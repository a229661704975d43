-- name: worker_leave
-- A worker has stopped and holds no job.
DELETE FROM dibs_workers WHERE id = :worker;

-- name: worker_forget
-- Drop the rows of workers whose lease ran out more than :grace ago, unless nobody was heard of for
-- :silence.
DELETE FROM dibs_workers
WHERE expires_at < :now - :grace
    AND EXISTS (SELECT 1 FROM dibs_workers WHERE beat_at BETWEEN :now - :silence AND :now);

-- name: worker_list
-- Every worker whose lease has not run out :lost_for ago.
SELECT id, queues, lowest, highest, kinds, concurrency, reserve, leaked, started_at, beat_at,
    expires_at, loops, skew
FROM dibs_workers WHERE expires_at >= :now - :lost_for ORDER BY started_at, id;

-- name: job_due
-- Microseconds until the next scheduled job is due, negative when overdue, NULL without one.
SELECT MIN(due) - :now FROM dibs_scheduled;

-- name: job_held
-- The claims that a worker holds, by the database's word.
-- Each job is looked up by itself: a join would be free to read all jobs.
SELECT r.job_id, r.claim, r.worker, r.attempt,
    (SELECT j.max_attempts FROM dibs_jobs AS j WHERE j.id = r.job_id)
FROM dibs_running AS r WHERE r.worker = :worker ORDER BY r.job_id;

-- name: job_call_off
-- Ask the worker of a running job to cancel it, whichever claim runs; '' is no reason, and leaves
-- the one that was given before. Returns its id, or nothing where it does not run.
UPDATE dibs_running SET cancel = COALESCE(NULLIF(:reason, ''), cancel, '') WHERE job_id = :id
RETURNING job_id;

-- name: job_called_off
-- What a worker runs that somebody wants cancelled: job_id, claim and the reason.
SELECT job_id, claim, NULLIF(cancel, '') FROM dibs_running
WHERE worker = :worker AND cancel IS NOT NULL;
