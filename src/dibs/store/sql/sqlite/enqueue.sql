-- Differs from PostgreSQL: no writes inside WITH, so three statements; the rows come as JSON.

-- name: job_enqueue
-- Store jobs; each is ready where its time has come, and scheduled otherwise. One that has to wait
-- for its turn is blocked where its time has come, and its key is among the arrivals.
-- Returns id, scheduled_at, created_at and state of each, in the order given.
-- keep: ids
INSERT INTO dibs_jobs (
    kind, queue, priority, args, max_attempts, scheduled_at, created_at, timeout, retry, limits, turn
)
SELECT
    json_extract(value, '$[0]'), json_extract(value, '$[1]'), json_extract(value, '$[2]'),
    json_extract(value, '$[3]'), json_extract(value, '$[4]'),
    COALESCE(json_extract(value, '$[5]'), :now + json_extract(value, '$[6]')), :now,
    json_extract(value, '$[7]'), json_extract(value, '$[8]'), json_extract(value, '$[9]'),
    json_extract(value, '$[10]')
FROM json_each(:jobs) WHERE true ORDER BY key
RETURNING id;
INSERT INTO dibs_ready (job_id, queue, priority, scheduled_at)
SELECT id, queue, priority, scheduled_at
FROM dibs_jobs
WHERE id IN (SELECT value FROM json_each(:ids)) AND scheduled_at <= :now AND turn IS NULL;
INSERT INTO dibs_blocked (key, queue, priority, scheduled_at, job_id)
SELECT turn, queue, priority, scheduled_at, id
FROM dibs_jobs
WHERE id IN (SELECT value FROM json_each(:ids)) AND scheduled_at <= :now AND turn IS NOT NULL;
INSERT INTO dibs_arrivals (key, count)
SELECT turn, COUNT(*)
FROM dibs_jobs
WHERE id IN (SELECT value FROM json_each(:ids)) AND scheduled_at <= :now AND turn IS NOT NULL
GROUP BY turn;
INSERT INTO dibs_scheduled (due, job_id)
SELECT scheduled_at, id
FROM dibs_jobs WHERE id IN (SELECT value FROM json_each(:ids)) AND scheduled_at > :now;
SELECT id, scheduled_at, created_at,
    CASE
        WHEN scheduled_at > :now THEN 'scheduled'
        WHEN turn IS NULL THEN 'ready'
        ELSE 'blocked'
    END
FROM dibs_jobs WHERE id IN (SELECT value FROM json_each(:ids)) ORDER BY id;
