-- Differs from SQLite: one statement, with the rows as arrays, is one round trip.

-- name: job_enqueue
-- Store jobs; each is ready where its time has come, and scheduled otherwise. One that has to wait
-- for its turn is blocked where its time has come, and its key is among the arrivals. In a fair queue
-- that is its tenant's turn; its limits are asked when it is claimed.
-- Returns id, scheduled_at, created_at and state of each, in the order given.
WITH input AS (
    SELECT * FROM unnest(
        :jobs_kind::text[], :jobs_queue::text[], :jobs_priority::smallint[], :jobs_args::text[],
        :jobs_max_attempts::integer[], :jobs_scheduled_at::bigint[], :jobs_delay::bigint[],
        :jobs_timeout::bigint[], :jobs_retry::text[], :jobs_limits::text[], :jobs_turn::text[]
    ) WITH ORDINALITY AS i (
        kind, queue, priority, args, max_attempts, scheduled_at, delay, timeout, retry, limits,
        turn, n
    )
), job AS (
    INSERT INTO dibs_jobs (
        kind, queue, priority, args, max_attempts, scheduled_at, created_at, timeout, retry,
        limits, turn
    )
    SELECT i.kind, i.queue, i.priority, i.args::json, i.max_attempts,
        COALESCE(i.scheduled_at, :now + i.delay), :now, i.timeout, i.retry, i.limits,
        CASE WHEN q.fair_by IS NOT NULL AND i.priority < q.fair_below
            THEN 'fair:' || json_build_array(i.queue, left(i.args::json ->> q.fair_by, 200))::text
            ELSE i.turn END
    FROM input AS i LEFT JOIN dibs_queues AS q ON q.name = i.queue ORDER BY i.n
    RETURNING id, queue, priority, scheduled_at, created_at, turn
), ready AS (
    INSERT INTO dibs_ready (job_id, queue, priority, scheduled_at)
    SELECT id, queue, priority, scheduled_at FROM job WHERE scheduled_at <= :now AND turn IS NULL
), blocked AS (
    INSERT INTO dibs_blocked (key, queue, priority, scheduled_at, job_id)
    SELECT turn, queue, priority, scheduled_at, id FROM job
    WHERE scheduled_at <= :now AND turn IS NOT NULL
    RETURNING key
), arrival AS (
    INSERT INTO dibs_arrivals (key, count) SELECT key, count(*) FROM blocked GROUP BY key
), scheduled AS (
    INSERT INTO dibs_scheduled (due, job_id)
    SELECT scheduled_at, id FROM job WHERE scheduled_at > :now
)
SELECT id, scheduled_at, created_at,
    CASE
        WHEN scheduled_at > :now THEN 'scheduled'
        WHEN turn IS NULL THEN 'ready'
        ELSE 'blocked'
    END
FROM job ORDER BY id;
