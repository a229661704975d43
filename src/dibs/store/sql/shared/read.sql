-- name: job_attempts
-- The recorded attempts of a job, oldest first.
SELECT attempt, outcome, worker, started_at, finished_at, error_type, error, traceback
FROM dibs_attempts WHERE job_id = :id ORDER BY claim;

-- name: jobs_page_scheduled
-- Ids of scheduled jobs, the next due first.
SELECT s.job_id FROM dibs_scheduled AS s
WHERE (
        CAST(:queue AS TEXT) IS NULL
        OR (SELECT j.queue FROM dibs_jobs AS j WHERE j.id = s.job_id) = :queue
    )
    AND (
        CAST(:kind AS TEXT) IS NULL
        OR (SELECT j.kind FROM dibs_jobs AS j WHERE j.id = s.job_id) = :kind
    )
ORDER BY s.due, s.job_id LIMIT :limit;

-- name: jobs_page_blocked
-- Ids of blocked jobs, by priority from the highest down, scheduled_at and id.
SELECT b.job_id FROM dibs_blocked AS b
WHERE (CAST(:queue AS TEXT) IS NULL OR b.queue = :queue)
    AND (
        CAST(:kind AS TEXT) IS NULL
        OR (SELECT j.kind FROM dibs_jobs AS j WHERE j.id = b.job_id) = :kind
    )
ORDER BY b.priority DESC, b.scheduled_at, b.job_id LIMIT :limit;

-- name: jobs_page_running
-- Ids of running jobs, the longest running first.
SELECT r.job_id FROM dibs_running AS r
WHERE (
        CAST(:queue AS TEXT) IS NULL
        OR (SELECT j.queue FROM dibs_jobs AS j WHERE j.id = r.job_id) = :queue
    )
    AND (
        CAST(:kind AS TEXT) IS NULL
        OR (SELECT j.kind FROM dibs_jobs AS j WHERE j.id = r.job_id) = :kind
    )
ORDER BY r.started_at, r.job_id LIMIT :limit;

-- name: jobs_page_dead
-- Ids of dead letters, the latest first.
SELECT d.job_id FROM dibs_dead AS d
WHERE (
        CAST(:queue AS TEXT) IS NULL
        OR (SELECT j.queue FROM dibs_jobs AS j WHERE j.id = d.job_id) = :queue
    )
    AND (
        CAST(:kind AS TEXT) IS NULL
        OR (SELECT j.kind FROM dibs_jobs AS j WHERE j.id = d.job_id) = :kind
    )
ORDER BY d.died_at DESC, d.job_id DESC LIMIT :limit;

-- name: jobs_page_ended
-- Ids of completed or cancelled jobs (:state, or both where it is NULL), the newest first.
SELECT id FROM dibs_history
WHERE (CAST(:state AS TEXT) IS NULL OR state = :state)
    AND (CAST(:queue AS TEXT) IS NULL OR queue = :queue)
    AND (CAST(:kind AS TEXT) IS NULL OR kind = :kind)
ORDER BY id DESC LIMIT :limit;

-- name: jobs_page_live
-- Ids of jobs that have not completed or been cancelled, the newest first.
SELECT id FROM dibs_jobs
WHERE (CAST(:queue AS TEXT) IS NULL OR queue = :queue)
    AND (CAST(:kind AS TEXT) IS NULL OR kind = :kind)
ORDER BY id DESC LIMIT :limit;

-- name: stats_places
-- How many jobs stand in each place, by queue, kind and priority, and since when the oldest waits.
SELECT 'scheduled', j.queue, j.kind, j.priority, COUNT(*), MIN(j.scheduled_at)
FROM dibs_scheduled AS p JOIN dibs_jobs AS j ON j.id = p.job_id
GROUP BY j.queue, j.kind, j.priority
UNION ALL
SELECT 'blocked', j.queue, j.kind, j.priority, COUNT(*), MIN(j.scheduled_at)
FROM dibs_blocked AS p JOIN dibs_jobs AS j ON j.id = p.job_id
GROUP BY j.queue, j.kind, j.priority
UNION ALL
SELECT 'ready', j.queue, j.kind, j.priority, COUNT(*), MIN(j.scheduled_at)
FROM dibs_ready AS p JOIN dibs_jobs AS j ON j.id = p.job_id
GROUP BY j.queue, j.kind, j.priority
UNION ALL
SELECT 'running', j.queue, j.kind, j.priority, COUNT(*), MIN(j.scheduled_at)
FROM dibs_running AS p JOIN dibs_jobs AS j ON j.id = p.job_id
GROUP BY j.queue, j.kind, j.priority
UNION ALL
SELECT 'dead', j.queue, j.kind, j.priority, COUNT(*), MIN(j.scheduled_at)
FROM dibs_dead AS p JOIN dibs_jobs AS j ON j.id = p.job_id
GROUP BY j.queue, j.kind, j.priority;

-- name: stats_counters
-- Ended jobs and failed attempts by queue, kind and outcome, since the counters began.
SELECT queue, kind, outcome, CAST(SUM(count) AS BIGINT) FROM dibs_counters
GROUP BY queue, kind, outcome;

-- name: stats_clock
-- The database's time.
SELECT :now;
