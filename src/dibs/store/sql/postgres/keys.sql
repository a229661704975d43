-- Differs from SQLite: the rows come as arrays, and what others need is not locked.

-- name: key_take
-- Take those of :keys that no job holds; key_assign says for whom. Returns them.
-- DO NOTHING: an update, even one whose condition fails, would lock the row of the holder, whose
-- claim or end deletes it, for as long as a caller's transaction lasts. In one order, by code
-- points as Python sorts: two enqueues of the same keys never wait for each other.
INSERT INTO dibs_keys (key, job_id, during)
SELECT key, 0, 'waiting' FROM unnest(:keys::text[]) AS k (key) ORDER BY key COLLATE "C"
ON CONFLICT (key) DO NOTHING RETURNING key;

-- name: key_holders
-- Who holds :keys. Returns key, job_id, and whether its time is over.
SELECT key, job_id, COALESCE(expires_at <= :now, false) FROM dibs_keys
WHERE key = ANY (:keys::text[]);

-- name: key_expire
-- Free those of :keys whose time is over.
DELETE FROM dibs_keys WHERE key = ANY (ARRAY(
    SELECT key FROM dibs_keys WHERE key = ANY (:keys::text[]) AND expires_at <= :now
    ORDER BY key COLLATE "C" FOR UPDATE
)) AND expires_at <= :now;

-- name: key_release
-- Free those of :keys that this transaction took and no job got.
DELETE FROM dibs_keys WHERE key = ANY (:keys::text[]) AND job_id = 0;

-- name: key_assign
-- Say which job holds each of the keys that were taken, and until when. A job's record names the
-- key that its start or its end frees.
WITH input AS MATERIALIZED (
    SELECT * FROM unnest(
        :rows_key::text[], :rows_job_id::bigint[], :rows_during::text[], :rows_period::bigint[]
    ) AS i (key, job_id, during, period)
), held AS (
    UPDATE dibs_keys AS k
    SET job_id = i.job_id, during = i.during, expires_at = :now + i.period
    FROM input AS i WHERE k.key = ANY (ARRAY(SELECT key FROM input)) AND k.key = i.key
)
UPDATE dibs_jobs AS j SET unique_key = i.key, unique_during = i.during
FROM input AS i
WHERE j.id = ANY (ARRAY(SELECT job_id FROM input WHERE during <> 'period')) AND j.id = i.job_id
    AND i.during <> 'period';

-- name: key_prune
-- Drop up to :count keys whose time is over; those that an enqueue is taking are skipped.
-- Returns them.
DELETE FROM dibs_keys WHERE key = ANY (ARRAY(
    SELECT key FROM dibs_keys WHERE expires_at <= :now
    ORDER BY expires_at LIMIT :count FOR UPDATE SKIP LOCKED
)) RETURNING key;

-- name: job_replace
-- Give jobs that wait new args and options; they enter their places anew. Returns the ids of those
-- that waited. Found by locks in the order of the ids, and deleted from their places as by
-- job_reprioritize, which says why.
WITH input AS MATERIALIZED (
    SELECT * FROM unnest(
        :jobs_job_id::bigint[], :jobs_kind::text[], :jobs_queue::text[],
        :jobs_priority::smallint[], :jobs_args::text[], :jobs_max_attempts::integer[],
        :jobs_scheduled_at::bigint[], :jobs_delay::bigint[], :jobs_timeout::bigint[],
        :jobs_retry::text[], :jobs_limits::text[], :jobs_turn::text[]
    ) AS i (
        job_id, kind, queue, priority, args, max_attempts, scheduled_at, delay, timeout, retry,
        limits, turn
    )
), job AS MATERIALIZED (
    SELECT j.id, j.queue, j.priority, j.scheduled_at, j.limits FROM dibs_jobs AS j
    WHERE j.id = ANY (ARRAY(SELECT job_id FROM input)) ORDER BY j.id
), in_ready AS MATERIALIZED (
    SELECT h.* FROM job AS j CROSS JOIN LATERAL (
        SELECT r.ctid AS address FROM dibs_ready AS r
        WHERE (r.queue, r.priority, r.scheduled_at, r.job_id)
            = (j.queue, j.priority, j.scheduled_at, j.id)
        LIMIT 1 FOR UPDATE
    ) AS h
), in_scheduled AS MATERIALIZED (
    SELECT h.* FROM job AS j CROSS JOIN LATERAL (
        SELECT s.ctid AS address FROM dibs_scheduled AS s
        WHERE (s.due, s.job_id) = (j.scheduled_at, j.id) LIMIT 1 FOR UPDATE
    ) AS h
), in_blocked AS MATERIALIZED (
    SELECT h.* FROM job AS j CROSS JOIN LATERAL (
        SELECT b.ctid AS address FROM dibs_blocked AS b
        WHERE b.job_id = j.id LIMIT 1 FOR UPDATE
    ) AS h
), ready AS (
    DELETE FROM dibs_ready WHERE ctid = ANY (ARRAY(SELECT address FROM in_ready))
    RETURNING job_id
), scheduled AS (
    DELETE FROM dibs_scheduled WHERE ctid = ANY (ARRAY(SELECT address FROM in_scheduled))
    RETURNING job_id
), blocked AS (
    DELETE FROM dibs_blocked WHERE ctid = ANY (ARRAY(SELECT address FROM in_blocked))
    RETURNING job_id
), waiting AS MATERIALIZED (
    SELECT job_id FROM ready UNION ALL SELECT job_id FROM scheduled
    UNION ALL SELECT job_id FROM blocked
), passed AS (
    -- If its turn under limits had come, the next one has it.
    INSERT INTO dibs_arrivals (key, count)
    SELECT need ->> 0, count(*) FROM job CROSS JOIN json_array_elements(job.limits::json) AS need
    WHERE job.id = ANY (ARRAY(SELECT job_id FROM ready)) GROUP BY 1
), replaced AS (
    UPDATE dibs_jobs AS j
    SET kind = i.kind, queue = i.queue, priority = i.priority, args = i.args::json,
        max_attempts = i.max_attempts, timeout = i.timeout, retry = i.retry, limits = i.limits,
        turn = CASE WHEN q.fair_by IS NOT NULL AND i.priority < q.fair_below
            THEN 'fair:' || json_build_array(i.queue, left(i.args::json ->> q.fair_by, 200))::text
            ELSE i.turn END,
        scheduled_at = COALESCE(i.scheduled_at, :now + i.delay)
    FROM input AS i LEFT JOIN dibs_queues AS q ON q.name = i.queue
    WHERE j.id = ANY (ARRAY(SELECT job_id FROM waiting)) AND i.job_id = j.id
    RETURNING j.id, j.queue, j.priority, j.scheduled_at, j.turn
), ready_anew AS (
    INSERT INTO dibs_ready (job_id, queue, priority, scheduled_at)
    SELECT id, queue, priority, scheduled_at FROM replaced
    WHERE scheduled_at <= :now AND turn IS NULL
), blocked_anew AS (
    INSERT INTO dibs_blocked (key, queue, priority, scheduled_at, job_id)
    SELECT turn, queue, priority, scheduled_at, id FROM replaced
    WHERE scheduled_at <= :now AND turn IS NOT NULL
    RETURNING key
), arrival AS (
    INSERT INTO dibs_arrivals (key, count) SELECT key, count(*) FROM blocked_anew GROUP BY key
), scheduled_anew AS (
    INSERT INTO dibs_scheduled (due, job_id)
    SELECT scheduled_at, id FROM replaced WHERE scheduled_at > :now
)
SELECT id FROM replaced;
