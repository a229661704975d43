-- Differs from SQLite: one statement, which has to find its row while others move it.

-- name: job_cancel
-- Cancel a job that waits. Returns its id, or nothing where it does not wait.
WITH job AS MATERIALIZED (SELECT * FROM dibs_jobs WHERE id = :id),
ready AS (
    -- Compared with one row, not joined: a join planned while the table is empty reads it whole.
    DELETE FROM dibs_ready WHERE (queue, priority, scheduled_at, job_id) = (
        SELECT queue, priority, scheduled_at, id FROM job
    ) RETURNING job_id
), scheduled AS (
    DELETE FROM dibs_scheduled WHERE (due, job_id) = (SELECT scheduled_at, id FROM job)
    RETURNING job_id
), blocked AS (
    DELETE FROM dibs_blocked WHERE job_id = :id RETURNING job_id
), waiting AS (
    SELECT job_id FROM ready UNION ALL SELECT job_id FROM scheduled
    UNION ALL SELECT job_id FROM blocked
), gone AS (
    DELETE FROM dibs_jobs WHERE id = ANY (ARRAY(SELECT job_id FROM waiting)) RETURNING *
), passed AS (
    -- The next one has the turn under limits that it had, or waited for.
    INSERT INTO dibs_arrivals (key, count)
    SELECT need ->> 0, 1 FROM gone CROSS JOIN json_array_elements(gone.limits::json) AS need
    WHERE NOT EXISTS (SELECT 1 FROM scheduled)
), freed AS (
    DELETE FROM dibs_keys
    WHERE key = ANY (ARRAY(SELECT unique_key FROM gone WHERE unique_key IS NOT NULL))
        AND job_id = ANY (ARRAY(SELECT id FROM gone)) AND during <> 'period'
), counter AS (
    INSERT INTO dibs_counters AS c (
        minute, worker, queue, kind, priority, outcome, count, wait, run
    )
    SELECT :now / 60000000, '', queue, kind, priority, 'cancelled', 1, 0, 0 FROM gone
    ON CONFLICT (minute, worker, queue, kind, priority, outcome) DO UPDATE SET count = c.count + 1
)
INSERT INTO dibs_history (
    id, kind, queue, priority, state, args, max_attempts, attempt, crashes, scheduled_at,
    created_at, finished_at, error, reason
)
SELECT id, kind, queue, priority, 'cancelled', args, max_attempts, attempt, crashes, scheduled_at,
    created_at, :now, error, :reason
FROM gone RETURNING id;

-- name: job_reprioritize
-- Give a job that waits :priority. Returns its id, or nothing where it does not wait, or was moved
-- while this statement ran: then look again.
--
-- The job leaves its place and enters it anew, and only then the record changes. All who move a
-- job delete its row from its place, so of any two one comes first:
--  * A claim, an admission, a promotion, a cancellation or another of these has the row: the
--    deletion waits, finds it gone, and nothing changes.
--  * This one has the row. Who comes meanwhile passes it over, or waits and then finds it gone.
--    So does who comes later with an older snapshot, which does not show the new row either:
--    nobody gets the new row together with the old record.
-- An update in place would be wrong twice. A scheduled job's row holds no priority, and locking it
-- would let a promotion with an older snapshot take it and copy the old priority from the record.
-- And a claim would stop at the row's new version, which it cannot see, instead of going on to the
-- next job: with room for one it would find none, and think that the line is empty.
WITH job AS MATERIALIZED (SELECT * FROM dibs_jobs WHERE id = :id),
ready AS (
    -- Compared with one row, as in job_cancel.
    DELETE FROM dibs_ready WHERE (queue, priority, scheduled_at, job_id) = (
        SELECT queue, priority, scheduled_at, id FROM job
    ) RETURNING *
), scheduled AS (
    DELETE FROM dibs_scheduled WHERE (due, job_id) = (SELECT scheduled_at, id FROM job)
    RETURNING *
), blocked AS (
    DELETE FROM dibs_blocked WHERE job_id = :id RETURNING *
), ready_anew AS (
    INSERT INTO dibs_ready (job_id, queue, priority, scheduled_at)
    SELECT job_id, queue, :priority::smallint, scheduled_at FROM ready RETURNING job_id
), scheduled_anew AS (
    INSERT INTO dibs_scheduled (due, job_id) SELECT due, job_id FROM scheduled RETURNING job_id
), blocked_anew AS (
    INSERT INTO dibs_blocked (key, queue, priority, scheduled_at, job_id)
    SELECT key, queue, :priority::smallint, scheduled_at, job_id FROM blocked RETURNING job_id
), waiting AS (
    SELECT job_id FROM ready_anew UNION ALL SELECT job_id FROM scheduled_anew
    UNION ALL SELECT job_id FROM blocked_anew
)
UPDATE dibs_jobs SET priority = :priority
WHERE id = ANY (ARRAY(SELECT job_id FROM waiting)) RETURNING id;

-- name: job_reschedule
-- Have a job that waits start from :scheduled_at on, or, where it is NULL, :delay microseconds from
-- now: it is ready where that has come, and scheduled otherwise. One that is blocked stays so where
-- it has come. Returns its id, or nothing where it does not wait, or was moved while this statement
-- ran: then look again.
-- It leaves its place and enters the new one, and only then the record changes, for the reasons that
-- job_reprioritize gives: of any two who move a job, one finds its row gone.
WITH job AS MATERIALIZED (
    SELECT j.*, COALESCE(:scheduled_at::bigint, :now + :delay::bigint) AS due
    FROM dibs_jobs AS j WHERE id = :id
), ready AS (
    -- Compared with one row, as in job_cancel.
    DELETE FROM dibs_ready WHERE (queue, priority, scheduled_at, job_id) = (
        SELECT queue, priority, scheduled_at, id FROM job
    ) RETURNING job_id
), scheduled AS (
    DELETE FROM dibs_scheduled WHERE (due, job_id) = (SELECT scheduled_at, id FROM job)
    RETURNING job_id
), blocked AS (
    DELETE FROM dibs_blocked WHERE job_id = :id RETURNING job_id, key
), ready_anew AS (
    INSERT INTO dibs_ready (job_id, queue, priority, scheduled_at)
    SELECT id, queue, priority, due FROM job
    WHERE due <= :now AND id IN (SELECT job_id FROM ready UNION ALL SELECT job_id FROM scheduled)
    RETURNING job_id
), blocked_anew AS (
    INSERT INTO dibs_blocked (key, queue, priority, scheduled_at, job_id)
    SELECT b.key, j.queue, j.priority, j.due, j.id FROM job AS j JOIN blocked AS b ON b.job_id = j.id
    WHERE j.due <= :now
    RETURNING job_id
), scheduled_anew AS (
    INSERT INTO dibs_scheduled (due, job_id)
    SELECT due, id FROM job WHERE due > :now AND id IN (
        SELECT job_id FROM ready UNION ALL SELECT job_id FROM scheduled
        UNION ALL SELECT job_id FROM blocked
    )
    RETURNING job_id
), waiting AS (
    SELECT job_id FROM ready_anew UNION ALL SELECT job_id FROM blocked_anew
    UNION ALL SELECT job_id FROM scheduled_anew
)
UPDATE dibs_jobs SET scheduled_at = (SELECT due FROM job)
WHERE id = ANY (ARRAY(SELECT job_id FROM waiting)) RETURNING id;
