-- Differs from PostgreSQL: the one writer needs no row locks.

-- name: worker_beat
-- A worker lives until :now + :lease; the first beat registers it. :wall is its own clock's time.
-- Where nobody was heard of for :silence, that was nobody's death: all others have so long a lease,
-- too, but not twice without a beat of their own. Also who runs nothing: it may claim before it beats.
UPDATE dibs_workers SET expires_at = :now + :lease
WHERE expires_at <= beat_at + :lease
    AND NOT EXISTS (SELECT 1 FROM dibs_workers WHERE beat_at BETWEEN :now - :silence AND :now);
INSERT INTO dibs_workers (
    id, queues, lowest, highest, kinds, concurrency, reserve, leaked, started_at, beat_at,
    expires_at, loops, skew
)
VALUES (
    :worker, :queues, :lowest, :highest, :kinds, :concurrency, :reserve, :leaked, :now, :now,
    :now + :lease, :loops, COALESCE(CAST(:wall AS BIGINT) - :now, 0)
)
ON CONFLICT (id) DO UPDATE SET
    beat_at = excluded.beat_at, expires_at = excluded.expires_at, leaked = excluded.leaked,
    loops = excluded.loops, skew = excluded.skew;

-- name: job_promote
-- Make up to :count scheduled jobs whose time has come ready, or block them where they have to wait
-- for their turn; then their keys are among the arrivals. Returns the queue of each.
-- keep: moved
SELECT job_id FROM dibs_scheduled WHERE due <= :now ORDER BY due, job_id LIMIT :count;
DELETE FROM dibs_scheduled WHERE (due, job_id) IN (
    SELECT due, job_id FROM dibs_scheduled WHERE due <= :now ORDER BY due, job_id LIMIT :count
);
INSERT INTO dibs_ready (job_id, queue, priority, scheduled_at)
SELECT id, queue, priority, scheduled_at FROM dibs_jobs
WHERE id IN (SELECT value FROM json_each(:moved)) AND turn IS NULL;
INSERT INTO dibs_blocked (key, queue, priority, scheduled_at, job_id)
SELECT turn, queue, priority, scheduled_at, id FROM dibs_jobs
WHERE id IN (SELECT value FROM json_each(:moved)) AND turn IS NOT NULL;
INSERT INTO dibs_arrivals (key, count)
SELECT turn, COUNT(*) FROM dibs_jobs
WHERE id IN (SELECT value FROM json_each(:moved)) AND turn IS NOT NULL GROUP BY turn;
SELECT queue FROM dibs_jobs WHERE id IN (SELECT value FROM json_each(:moved));

-- name: job_stale
-- Up to :count running jobs of workers without a lease; none where nobody was heard of for :silence.
-- Returns job_id, claim, worker, attempt, max_attempts and crashes.
SELECT r.job_id, r.claim, r.worker, r.attempt, j.max_attempts, j.crashes
FROM dibs_running AS r JOIN dibs_jobs AS j ON j.id = r.job_id
WHERE EXISTS (SELECT 1 FROM dibs_workers WHERE beat_at BETWEEN :now - :silence AND :now)
    AND NOT EXISTS (
        SELECT 1 FROM dibs_workers AS w WHERE w.id = r.worker AND w.expires_at >= :now
    )
ORDER BY r.job_id LIMIT :count;
