-- Differs from SQLite: rows that another worker is moving are skipped.

-- name: worker_beat
-- A worker lives until :now + :lease; the first beat registers it. :wall is its own clock's time.
-- Where nobody was heard of for :silence, that was nobody's death: all others have so long a lease,
-- too, but not twice without a beat of their own. Also who runs nothing: it may claim before it beats.
-- Its own row first: who waits for that holds no other, so two that end a silence at the same moment
-- cannot wait for each other.
WITH beat AS (
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
        loops = excluded.loops, skew = excluded.skew
    RETURNING id
), unheard AS MATERIALIZED (
    SELECT w.id FROM beat CROSS JOIN dibs_workers AS w
    WHERE w.id <> beat.id AND w.expires_at <= w.beat_at + :lease
        AND NOT EXISTS (SELECT 1 FROM dibs_workers WHERE beat_at BETWEEN :now - :silence AND :now)
    FOR UPDATE OF w SKIP LOCKED
)
UPDATE dibs_workers SET expires_at = :now + :lease
WHERE id = ANY (ARRAY(SELECT id FROM unheard));

-- name: job_promote
-- Make up to :count scheduled jobs whose time has come ready, or block them where they have to wait
-- for their turn; then their keys are among the arrivals. Returns the queue of each.
-- The commit waits for no disk: after a crash of the server they are due, and moved once more, and
-- whatever is done with them waits for its own commit, and so for this one too.
WITH soon AS MATERIALIZED (
    SELECT set_config('synchronous_commit', 'off', true) AS setting
), due AS MATERIALIZED (
    SELECT ctid AS address FROM dibs_scheduled WHERE due <= :now
    ORDER BY due, job_id LIMIT :count FOR UPDATE SKIP LOCKED
), moved AS (
    DELETE FROM dibs_scheduled WHERE ctid = ANY (ARRAY(SELECT address FROM due))
    RETURNING job_id
), job AS MATERIALIZED (
    SELECT id, queue, priority, scheduled_at, turn FROM dibs_jobs
    WHERE id = ANY (ARRAY(SELECT job_id FROM moved))
), ready AS (
    INSERT INTO dibs_ready (job_id, queue, priority, scheduled_at)
    SELECT id, queue, priority, scheduled_at FROM job WHERE turn IS NULL
), blocked AS (
    INSERT INTO dibs_blocked (key, queue, priority, scheduled_at, job_id)
    SELECT turn, queue, priority, scheduled_at, id FROM job WHERE turn IS NOT NULL
), arrival AS (
    INSERT INTO dibs_arrivals (key, count)
    SELECT turn, count(*) FROM job WHERE turn IS NOT NULL GROUP BY turn
)
SELECT job.queue FROM job CROSS JOIN soon;

-- name: job_stale
-- Up to :count running jobs of workers without a lease, locked; none where nobody was heard of for
-- :silence.
-- Returns job_id, claim, worker, attempt, max_attempts and crashes.
-- OFFSET 0: looked up for each, where a join planned on empty tables would read every job.
WITH stale AS MATERIALIZED (
    SELECT r.job_id, r.claim, r.attempt, r.worker FROM dibs_running AS r
    WHERE EXISTS (SELECT 1 FROM dibs_workers WHERE beat_at BETWEEN :now - :silence AND :now)
        AND NOT EXISTS (
            SELECT 1 FROM dibs_workers AS w WHERE w.id = r.worker AND w.expires_at >= :now
        )
    ORDER BY r.job_id LIMIT :count FOR UPDATE SKIP LOCKED
)
SELECT s.job_id, s.claim, s.worker, s.attempt, j.max_attempts, j.crashes
FROM stale AS s CROSS JOIN LATERAL (
    SELECT max_attempts, crashes FROM dibs_jobs WHERE id = s.job_id OFFSET 0
) AS j
ORDER BY s.job_id;
