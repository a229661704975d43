-- Differs from SQLite: one statement each, with the ids as an array; rows that another worker is
-- removing are skipped.

-- name: history_drop
-- Remove the completed or cancelled jobs :ids, with the records of their attempts. Returns the ids of
-- those that were there.
WITH free AS MATERIALIZED (
    SELECT id FROM dibs_history WHERE id = ANY (:ids::bigint[]) FOR UPDATE SKIP LOCKED
), gone AS (
    DELETE FROM dibs_history WHERE id = ANY (ARRAY(SELECT id FROM free)) RETURNING id
), attempt AS (
    DELETE FROM dibs_attempts WHERE job_id = ANY (ARRAY(SELECT id FROM gone))
)
SELECT id FROM gone;

-- name: counters_sum
-- Add up what about :count rows tell of minutes before :before, the first ones first: by queue,
-- kind, priority and outcome, under the minute 0 and no worker. Returns how many rows that were.
-- In one order, so that two workers never wait for each other in a circle.
WITH old AS MATERIALIZED (
    SELECT ctid AS address FROM dibs_counters WHERE minute > 0 AND minute < :before
    ORDER BY minute LIMIT :count FOR UPDATE SKIP LOCKED
), gone AS (
    DELETE FROM dibs_counters WHERE ctid = ANY (ARRAY(SELECT address FROM old)) RETURNING *
), total AS (
    INSERT INTO dibs_counters AS c (
        minute, worker, queue, kind, priority, outcome, count, wait, run
    )
    SELECT 0, '', queue, kind, priority, outcome, sum(count), sum(wait), sum(run) FROM gone
    GROUP BY queue, kind, priority, outcome ORDER BY queue, kind, priority, outcome
    ON CONFLICT (minute, worker, queue, kind, priority, outcome) DO UPDATE
    SET count = c.count + excluded.count, wait = c.wait + excluded.wait, run = c.run + excluded.run
)
SELECT count(*) FROM gone;

-- name: traces_drop
-- Remove the notes and effects of :ids, jobs that have left for good. Returns the ids of each.
WITH effect AS (
    DELETE FROM dibs_effects WHERE job_id = ANY (:ids::bigint[]) RETURNING job_id
), note AS (
    DELETE FROM dibs_notes WHERE job_id = ANY (:ids::bigint[]) RETURNING job_id
)
SELECT job_id FROM effect UNION SELECT job_id FROM note;
