-- Differs from PostgreSQL: several statements, with the ids as JSON; the one writer needs no locks.

-- name: history_drop
-- Remove the completed or cancelled jobs :ids, with the records of their attempts. Returns the ids of
-- those that were there.
-- keep: gone
SELECT id FROM dibs_history WHERE id IN (SELECT value FROM json_each(:ids));
DELETE FROM dibs_attempts WHERE job_id IN (SELECT value FROM json_each(:gone));
DELETE FROM dibs_history WHERE id IN (SELECT value FROM json_each(:gone));
SELECT value FROM json_each(:gone);

-- name: counters_sum
-- Add up what about :count rows tell of minutes before :before, the first ones first, and whole
-- minutes: by queue, kind, priority and outcome, under the minute 0 and no worker. Returns how many
-- rows that were.
-- keep: minutes
SELECT DISTINCT minute FROM (
    SELECT minute FROM dibs_counters WHERE minute > 0 AND minute < :before
    ORDER BY minute LIMIT :count
) AS old;
INSERT INTO dibs_counters (minute, worker, queue, kind, priority, outcome, count, wait, run)
SELECT 0, '', queue, kind, priority, outcome, SUM(count), SUM(wait), SUM(run) FROM dibs_counters
WHERE minute IN (SELECT value FROM json_each(:minutes)) GROUP BY queue, kind, priority, outcome
ON CONFLICT (minute, worker, queue, kind, priority, outcome) DO UPDATE
SET count = count + excluded.count, wait = wait + excluded.wait, run = run + excluded.run;
DELETE FROM dibs_counters WHERE minute IN (SELECT value FROM json_each(:minutes));
SELECT changes();

-- name: traces_drop
-- Remove the notes and effects of :ids, jobs that have left for good. Returns the ids of each.
DELETE FROM dibs_effects WHERE job_id IN (SELECT value FROM json_each(:ids));
DELETE FROM dibs_notes WHERE job_id IN (SELECT value FROM json_each(:ids));
SELECT value FROM json_each(:ids);
