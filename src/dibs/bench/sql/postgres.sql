-- Differs from SQLite: both INSERTs in one statement are one round trip, and one commit.

-- name: bench_insert
-- Store one ready job: the same INSERTs as an enqueue, and nothing else.
WITH job AS (
    INSERT INTO dibs_jobs (kind, queue, priority, args, max_attempts, scheduled_at, created_at)
    VALUES (:kind, :queue, 0, :args, 5, :now, :now)
    RETURNING id, queue, priority, scheduled_at
)
INSERT INTO dibs_ready (job_id, queue, priority, scheduled_at)
SELECT id, queue, priority, scheduled_at FROM job RETURNING job_id;

-- name: bench_wipe
-- Leave no job, and no trace of one.
TRUNCATE dibs_ready, dibs_scheduled, dibs_blocked, dibs_running, dibs_dead, dibs_attempts,
    dibs_jobs, dibs_history, dibs_counters, dibs_workers;
