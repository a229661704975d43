-- Differs from PostgreSQL: several statements, with the rows as JSON. Every one is fenced: it
-- moves only jobs that still run for :worker under the claim given, and returns their ids.

-- name: job_finish
-- Jobs end completed or cancelled and leave the live tables for the history. Their keys are free.
-- With :asked = 1 only those that somebody asked to cancel; with :counted = 0 no counter is touched.
-- keep: settled
SELECT r.job_id FROM json_each(:rows) AS i
CROSS JOIN dibs_running AS r
    ON r.job_id = json_extract(i.value, '$[0]') AND r.claim = json_extract(i.value, '$[1]')
    AND r.worker = :worker AND (:asked = 0 OR r.cancel IS NOT NULL);
INSERT INTO dibs_history (
    id, kind, queue, priority, state, args, max_attempts, attempt, crashes, scheduled_at,
    created_at, started_at, finished_at, worker, result, error, reason
)
SELECT j.id, j.kind, j.queue, j.priority, json_extract(i.value, '$[2]'), j.args, j.max_attempts,
    r.attempt, j.crashes, j.scheduled_at, j.created_at, r.started_at, :now, r.worker,
    json_extract(i.value, '$[3]'), j.error,
    COALESCE(
        json_extract(i.value, '$[4]'),
        CASE json_extract(i.value, '$[2]') WHEN 'cancelled' THEN NULLIF(r.cancel, '') END
    )
FROM json_each(:rows) AS i
CROSS JOIN dibs_running AS r
    ON r.job_id = json_extract(i.value, '$[0]') AND r.claim = json_extract(i.value, '$[1]')
    AND r.worker = :worker AND (:asked = 0 OR r.cancel IS NOT NULL)
CROSS JOIN dibs_jobs AS j ON j.id = r.job_id;
INSERT INTO dibs_counters (minute, worker, queue, kind, priority, outcome, count, wait, run)
SELECT :now / 60000000, worker, queue, kind, priority, state, COUNT(*),
    SUM(started_at - scheduled_at), SUM(finished_at - started_at)
FROM dibs_history WHERE :counted = 1 AND id IN (SELECT value FROM json_each(:settled))
GROUP BY worker, queue, kind, priority, state
ON CONFLICT (minute, worker, queue, kind, priority, outcome) DO UPDATE
SET count = count + excluded.count, wait = wait + excluded.wait, run = run + excluded.run;
DELETE FROM dibs_running WHERE job_id IN (SELECT value FROM json_each(:settled));
DELETE FROM dibs_jobs WHERE id IN (SELECT value FROM json_each(:settled));
DELETE FROM dibs_keys
WHERE job_id IN (SELECT value FROM json_each(:settled)) AND during <> 'period';
SELECT value FROM json_each(:settled);

-- name: job_requeue
-- Jobs will run again: after :delay microseconds, or, where it is NULL, from their old place in
-- the line. `counted` and `crashed` (0 or 1) go to the counters of the job; an attempt with an
-- `outcome` leaves its record. Jobs that somebody wants cancelled are left as they are.
-- keep: settled
SELECT r.job_id FROM json_each(:rows) AS i
CROSS JOIN dibs_running AS r
    ON r.job_id = json_extract(i.value, '$[0]') AND r.claim = json_extract(i.value, '$[1]')
    AND r.worker = :worker AND r.cancel IS NULL;
INSERT INTO dibs_attempts (
    job_id, claim, attempt, worker, started_at, finished_at, outcome, error_type, error, traceback
)
SELECT r.job_id, r.claim, r.attempt, r.worker, r.started_at, :now, json_extract(i.value, '$[5]'),
    json_extract(i.value, '$[6]'), json_extract(i.value, '$[7]'), json_extract(i.value, '$[8]')
FROM json_each(:rows) AS i
CROSS JOIN dibs_running AS r
    ON r.job_id = json_extract(i.value, '$[0]') AND r.claim = json_extract(i.value, '$[1]')
    AND r.worker = :worker AND r.cancel IS NULL
WHERE json_extract(i.value, '$[5]') IS NOT NULL;
INSERT INTO dibs_counters (minute, worker, queue, kind, priority, outcome, count, wait, run)
SELECT :now / 60000000, r.worker, j.queue, j.kind, j.priority, 'failed', COUNT(*), 0,
    SUM(:now - r.started_at)
FROM json_each(:rows) AS i
CROSS JOIN dibs_running AS r
    ON r.job_id = json_extract(i.value, '$[0]') AND r.claim = json_extract(i.value, '$[1]')
    AND r.worker = :worker AND r.cancel IS NULL
CROSS JOIN dibs_jobs AS j ON j.id = r.job_id
WHERE json_extract(i.value, '$[7]') IS NOT NULL
GROUP BY r.worker, j.queue, j.kind, j.priority
ON CONFLICT (minute, worker, queue, kind, priority, outcome) DO UPDATE
SET count = count + excluded.count, run = run + excluded.run;
UPDATE dibs_jobs AS j
SET claim = s.claim, attempt = j.attempt + s.counted, crashes = j.crashes + s.crashed,
    scheduled_at = CASE WHEN s.delay IS NULL THEN j.scheduled_at ELSE :now + s.delay END,
    error = COALESCE(s.error, j.error)
FROM (
    SELECT r.job_id, r.claim, json_extract(i.value, '$[2]') AS delay,
        json_extract(i.value, '$[3]') AS counted, json_extract(i.value, '$[4]') AS crashed,
        json_extract(i.value, '$[7]') AS error
    FROM json_each(:rows) AS i
    CROSS JOIN dibs_running AS r
        ON r.job_id = json_extract(i.value, '$[0]') AND r.claim = json_extract(i.value, '$[1]')
        AND r.worker = :worker AND r.cancel IS NULL
) AS s
WHERE j.id = s.job_id;
DELETE FROM dibs_running WHERE job_id IN (SELECT value FROM json_each(:settled));
INSERT INTO dibs_ready (job_id, queue, priority, scheduled_at)
SELECT id, queue, priority, scheduled_at FROM dibs_jobs
WHERE id IN (SELECT value FROM json_each(:settled)) AND scheduled_at <= :now;
INSERT INTO dibs_scheduled (due, job_id)
SELECT scheduled_at, id FROM dibs_jobs
WHERE id IN (SELECT value FROM json_each(:settled)) AND scheduled_at > :now;
SELECT value FROM json_each(:settled);

-- name: job_bury
-- Jobs go to the dead letters with the record of the attempt that ended them. Their keys are free.
-- keep: settled
SELECT r.job_id FROM json_each(:rows) AS i
CROSS JOIN dibs_running AS r
    ON r.job_id = json_extract(i.value, '$[0]') AND r.claim = json_extract(i.value, '$[1]')
    AND r.worker = :worker;
INSERT INTO dibs_dead (job_id, reason, worker, started_at, died_at)
SELECT r.job_id, json_extract(i.value, '$[2]'), r.worker, r.started_at, :now
FROM json_each(:rows) AS i
CROSS JOIN dibs_running AS r
    ON r.job_id = json_extract(i.value, '$[0]') AND r.claim = json_extract(i.value, '$[1]')
    AND r.worker = :worker;
INSERT INTO dibs_attempts (
    job_id, claim, attempt, worker, started_at, finished_at, outcome, error_type, error, traceback
)
SELECT r.job_id, r.claim, r.attempt, r.worker, r.started_at, :now, json_extract(i.value, '$[4]'),
    json_extract(i.value, '$[5]'), json_extract(i.value, '$[6]'), json_extract(i.value, '$[7]')
FROM json_each(:rows) AS i
CROSS JOIN dibs_running AS r
    ON r.job_id = json_extract(i.value, '$[0]') AND r.claim = json_extract(i.value, '$[1]')
    AND r.worker = :worker;
INSERT INTO dibs_counters (minute, worker, queue, kind, priority, outcome, count, wait, run)
SELECT :now / 60000000, r.worker, j.queue, j.kind, j.priority, 'dead', COUNT(*), 0,
    SUM(:now - r.started_at)
FROM json_each(:settled) AS s
CROSS JOIN dibs_running AS r ON r.job_id = s.value
CROSS JOIN dibs_jobs AS j ON j.id = r.job_id
GROUP BY r.worker, j.queue, j.kind, j.priority
ON CONFLICT (minute, worker, queue, kind, priority, outcome) DO UPDATE
SET count = count + excluded.count, run = run + excluded.run;
UPDATE dibs_jobs AS j
SET claim = s.claim, error = s.error, crashes = j.crashes + s.crashed,
    attempt = j.attempt + (s.crashed = 0)
FROM (
    SELECT r.job_id, r.claim, json_extract(i.value, '$[3]') AS crashed,
        json_extract(i.value, '$[6]') AS error
    FROM json_each(:rows) AS i
    CROSS JOIN dibs_running AS r
        ON r.job_id = json_extract(i.value, '$[0]') AND r.claim = json_extract(i.value, '$[1]')
        AND r.worker = :worker
) AS s
WHERE j.id = s.job_id;
DELETE FROM dibs_running WHERE job_id IN (SELECT value FROM json_each(:settled));
DELETE FROM dibs_keys
WHERE job_id IN (SELECT value FROM json_each(:settled)) AND during <> 'period';
SELECT value FROM json_each(:settled);

-- name: job_unmoved
-- What became of the jobs :ids, whose end moved nothing. Returns id and worker; its claim while it
-- runs, else NULL; and where it is completed, when the attempt that did it began.
SELECT job_id, worker, claim, NULL FROM dibs_running
WHERE job_id IN (SELECT value FROM json_each(:ids))
UNION ALL
SELECT id, worker, NULL, started_at FROM dibs_history
WHERE id IN (SELECT value FROM json_each(:ids)) AND state = 'completed';

-- name: job_count
-- Count the ended jobs :ids, which job_finish did not.
INSERT INTO dibs_counters (minute, worker, queue, kind, priority, outcome, count, wait, run)
SELECT finished_at / 60000000, worker, queue, kind, priority, state, COUNT(*),
    SUM(started_at - scheduled_at), SUM(finished_at - started_at)
FROM dibs_history WHERE id IN (SELECT value FROM json_each(:ids))
GROUP BY finished_at / 60000000, worker, queue, kind, priority, state
ON CONFLICT (minute, worker, queue, kind, priority, outcome) DO UPDATE
SET count = count + excluded.count, wait = wait + excluded.wait, run = run + excluded.run;

-- name: claim_lock
-- One row where the job :id still runs for :worker under :claim; the one writer has it locked.
SELECT 1 FROM dibs_running WHERE job_id = :id AND claim = :claim AND worker = :worker;
