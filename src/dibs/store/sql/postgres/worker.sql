-- Differs from SQLite: rows that another worker is moving are skipped.

-- name: job_promote
-- Make up to :count scheduled jobs whose time has come ready.
-- Returns the queue of each.
WITH due AS MATERIALIZED (
    SELECT due, job_id FROM dibs_scheduled WHERE due <= :now
    ORDER BY due, job_id LIMIT :count FOR UPDATE SKIP LOCKED
), moved AS (
    DELETE FROM dibs_scheduled AS s USING due AS d
    WHERE s.due = d.due AND s.job_id = d.job_id
    RETURNING s.job_id
), ready AS (
    INSERT INTO dibs_ready (job_id, queue, priority, scheduled_at)
    SELECT id, queue, priority, scheduled_at FROM dibs_jobs
    WHERE id = ANY (ARRAY(SELECT job_id FROM moved))
    RETURNING queue
)
SELECT queue FROM ready;

-- name: job_stale
-- Up to :count running jobs of workers without a lease, locked.
-- Returns job_id, claim, attempt, max_attempts, crashes and worker.
SELECT r.job_id, r.claim, r.attempt, j.max_attempts, j.crashes, r.worker
FROM dibs_running AS r JOIN dibs_jobs AS j ON j.id = r.job_id
WHERE NOT EXISTS (
    SELECT 1 FROM dibs_workers AS w WHERE w.id = r.worker AND w.expires_at >= :now
)
ORDER BY r.job_id LIMIT :count FOR UPDATE OF r SKIP LOCKED;
