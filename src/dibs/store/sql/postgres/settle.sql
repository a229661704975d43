-- Differs from SQLite: one statement each, with the rows as arrays. Every one is fenced: it moves
-- only jobs that still run for :worker under the claim given, and returns their ids. Rows that
-- somebody has locked (a handler that completes its job, and has not committed yet) are skipped: one
-- that hangs must not hold up the ends of all others. All that a row must be is asked where it is
-- locked: asked where it is joined with the input, it has the planner expect one row, and the whole
-- input read again for each.

-- name: job_finish
-- Jobs end completed or cancelled and leave the live tables for the history. Their keys are free.
-- With :asked = 1 only those that somebody asked to cancel; with :counted = 0 no counter is touched.
WITH input AS MATERIALIZED (
    SELECT * FROM unnest(
        :rows_job_id::bigint[], :rows_claim::integer[], :rows_state::text[], :rows_result::text[],
        :rows_reason::text[]
    ) AS i (job_id, claim, state, result, reason)
), free AS MATERIALIZED (
    SELECT job_id FROM dibs_running WHERE job_id = ANY (ARRAY(SELECT job_id FROM input))
        AND worker = :worker AND (:asked::integer = 0 OR cancel IS NOT NULL)
    ORDER BY job_id FOR UPDATE SKIP LOCKED
), settled AS (
    DELETE FROM dibs_running AS r USING input AS i
    WHERE r.job_id = ANY (ARRAY(SELECT job_id FROM free)) AND i.job_id = r.job_id
        AND i.claim = r.claim
    RETURNING r.job_id, r.worker, r.attempt, r.started_at, i.state, i.result,
        COALESCE(i.reason, CASE i.state WHEN 'cancelled' THEN NULLIF(r.cancel, '') END) AS reason
), job AS (
    DELETE FROM dibs_jobs WHERE id = ANY (ARRAY(SELECT job_id FROM settled)) RETURNING *
), history AS (
    INSERT INTO dibs_history (
        id, kind, queue, priority, state, args, max_attempts, attempt, crashes, scheduled_at,
        created_at, started_at, finished_at, worker, result, error, reason
    )
    SELECT j.id, j.kind, j.queue, j.priority, s.state, j.args, j.max_attempts, s.attempt,
        j.crashes, j.scheduled_at, j.created_at, s.started_at, :now, s.worker, s.result::json,
        j.error, s.reason
    FROM job AS j JOIN settled AS s ON s.job_id = j.id
    RETURNING queue, kind, priority, state, scheduled_at, started_at, finished_at, worker
), freed AS (
    DELETE FROM dibs_keys
    WHERE key = ANY (ARRAY(SELECT unique_key FROM job WHERE unique_key IS NOT NULL))
        AND job_id = ANY (ARRAY(SELECT id FROM job)) AND during <> 'period'
), counter AS (
    INSERT INTO dibs_counters AS c (
        minute, worker, queue, kind, priority, outcome, count, wait, run
    )
    SELECT :now / 60000000, worker, queue, kind, priority, state, count(*),
        sum(started_at - scheduled_at), sum(finished_at - started_at)
    FROM history WHERE :counted::integer = 1 GROUP BY worker, queue, kind, priority, state
    ON CONFLICT (minute, worker, queue, kind, priority, outcome) DO UPDATE
    SET count = c.count + excluded.count, wait = c.wait + excluded.wait, run = c.run + excluded.run
)
SELECT job_id FROM settled;

-- name: job_requeue
-- Jobs will run again: after :delay microseconds, or, where it is NULL, from their old place in
-- the line. `counted` and `crashed` (0 or 1) go to the counters of the job; an attempt with an
-- `outcome` leaves its record. Jobs that somebody wants cancelled are left as they are.
WITH input AS MATERIALIZED (
    SELECT * FROM unnest(
        :rows_job_id::bigint[], :rows_claim::integer[], :rows_delay::bigint[],
        :rows_counted::integer[], :rows_crashed::integer[], :rows_outcome::text[],
        :rows_error_type::text[], :rows_error::text[], :rows_traceback::text[]
    ) AS i (job_id, claim, delay, counted, crashed, outcome, error_type, error, traceback)
), free AS MATERIALIZED (
    SELECT job_id FROM dibs_running WHERE job_id = ANY (ARRAY(SELECT job_id FROM input))
        AND worker = :worker AND cancel IS NULL
    ORDER BY job_id FOR UPDATE SKIP LOCKED
), settled AS (
    DELETE FROM dibs_running AS r USING input AS i
    WHERE r.job_id = ANY (ARRAY(SELECT job_id FROM free)) AND i.job_id = r.job_id
        AND i.claim = r.claim
    RETURNING r.*, i.outcome, i.error_type, i.error, i.traceback
), job AS (
    -- Joined with the input: from what was settled the planner expects one row, and would read
    -- the whole batch again for each. The record keeps the claim before the one that ran.
    UPDATE dibs_jobs AS j
    SET claim = i.claim, attempt = j.attempt + i.counted, crashes = j.crashes + i.crashed,
        scheduled_at = CASE WHEN i.delay IS NULL THEN j.scheduled_at ELSE :now + i.delay END,
        error = COALESCE(i.error, j.error)
    FROM input AS i
    WHERE j.id = ANY (ARRAY(SELECT job_id FROM settled)) AND i.job_id = j.id
        AND i.claim = j.claim + 1
    RETURNING j.id, j.queue, j.kind, j.priority, j.scheduled_at
), ready AS (
    INSERT INTO dibs_ready (job_id, queue, priority, scheduled_at)
    SELECT id, queue, priority, scheduled_at FROM job WHERE scheduled_at <= :now
), scheduled AS (
    INSERT INTO dibs_scheduled (due, job_id)
    SELECT scheduled_at, id FROM job WHERE scheduled_at > :now
), attempt AS (
    INSERT INTO dibs_attempts (
        job_id, claim, attempt, worker, started_at, finished_at, outcome, error_type, error,
        traceback
    )
    SELECT job_id, claim, attempt, worker, started_at, :now, outcome, error_type, error, traceback
    FROM settled WHERE outcome IS NOT NULL
), counter AS (
    INSERT INTO dibs_counters AS c (
        minute, worker, queue, kind, priority, outcome, count, wait, run
    )
    SELECT :now / 60000000, s.worker, j.queue, j.kind, j.priority, 'failed', count(*), 0,
        sum(:now - s.started_at)
    FROM job AS j JOIN settled AS s ON s.job_id = j.id
    WHERE s.error IS NOT NULL GROUP BY s.worker, j.queue, j.kind, j.priority
    ON CONFLICT (minute, worker, queue, kind, priority, outcome) DO UPDATE
    SET count = c.count + excluded.count, run = c.run + excluded.run
)
SELECT job_id FROM settled;

-- name: job_bury
-- Jobs go to the dead letters with the record of the attempt that ended them. Their keys are free.
WITH input AS MATERIALIZED (
    SELECT * FROM unnest(
        :rows_job_id::bigint[], :rows_claim::integer[], :rows_reason::text[],
        :rows_crashed::integer[], :rows_outcome::text[], :rows_error_type::text[],
        :rows_error::text[], :rows_traceback::text[]
    ) AS i (job_id, claim, reason, crashed, outcome, error_type, error, traceback)
), free AS MATERIALIZED (
    SELECT job_id FROM dibs_running WHERE job_id = ANY (ARRAY(SELECT job_id FROM input))
        AND worker = :worker
    ORDER BY job_id FOR UPDATE SKIP LOCKED
), settled AS (
    DELETE FROM dibs_running AS r USING input AS i
    WHERE r.job_id = ANY (ARRAY(SELECT job_id FROM free)) AND i.job_id = r.job_id
        AND i.claim = r.claim
    RETURNING r.*, i.reason, i.outcome, i.error_type, i.error, i.traceback
), job AS (
    -- Joined with the input, as in job_requeue.
    UPDATE dibs_jobs AS j
    SET claim = i.claim, error = i.error, crashes = j.crashes + i.crashed,
        attempt = CASE WHEN i.crashed = 0 THEN j.attempt + 1 ELSE j.attempt END
    FROM input AS i
    WHERE j.id = ANY (ARRAY(SELECT job_id FROM settled)) AND i.job_id = j.id
        AND i.claim = j.claim + 1
    RETURNING j.id, j.queue, j.kind, j.priority, j.unique_key
), freed AS (
    DELETE FROM dibs_keys
    WHERE key = ANY (ARRAY(SELECT unique_key FROM job WHERE unique_key IS NOT NULL))
        AND job_id = ANY (ARRAY(SELECT id FROM job)) AND during <> 'period'
), dead AS (
    INSERT INTO dibs_dead (job_id, reason, worker, started_at, died_at)
    SELECT job_id, reason, worker, started_at, :now FROM settled
), attempt AS (
    INSERT INTO dibs_attempts (
        job_id, claim, attempt, worker, started_at, finished_at, outcome, error_type, error,
        traceback
    )
    SELECT job_id, claim, attempt, worker, started_at, :now, outcome, error_type, error, traceback
    FROM settled
), counter AS (
    INSERT INTO dibs_counters AS c (
        minute, worker, queue, kind, priority, outcome, count, wait, run
    )
    SELECT :now / 60000000, s.worker, j.queue, j.kind, j.priority, 'dead', count(*), 0,
        sum(:now - s.started_at)
    FROM job AS j JOIN settled AS s ON s.job_id = j.id
    GROUP BY s.worker, j.queue, j.kind, j.priority
    ON CONFLICT (minute, worker, queue, kind, priority, outcome) DO UPDATE
    SET count = c.count + excluded.count, run = c.run + excluded.run
)
SELECT job_id FROM settled;

-- name: job_unmoved
-- What became of the jobs :ids, whose end moved nothing. Returns id and worker; its claim while it
-- runs, else NULL; and where it is completed, when the attempt that did it began.
SELECT job_id, worker, claim, NULL::bigint FROM dibs_running WHERE job_id = ANY (:ids::bigint[])
UNION ALL
SELECT id, worker, NULL, started_at FROM dibs_history
WHERE id = ANY (:ids::bigint[]) AND state = 'completed';

-- name: job_count
-- Count the ended jobs :ids, which job_finish did not.
INSERT INTO dibs_counters AS c (
    minute, worker, queue, kind, priority, outcome, count, wait, run
)
SELECT finished_at / 60000000, worker, queue, kind, priority, state, count(*),
    sum(started_at - scheduled_at), sum(finished_at - started_at)
FROM dibs_history WHERE id = ANY (:ids::bigint[])
GROUP BY finished_at / 60000000, worker, queue, kind, priority, state
ON CONFLICT (minute, worker, queue, kind, priority, outcome) DO UPDATE
SET count = c.count + excluded.count, wait = c.wait + excluded.wait, run = c.run + excluded.run;

-- name: claim_lock
-- One row where the job :id still runs for :worker under :claim, locked to the end of the
-- transaction.
SELECT 1 FROM dibs_running WHERE job_id = :id AND claim = :claim AND worker = :worker FOR UPDATE;
