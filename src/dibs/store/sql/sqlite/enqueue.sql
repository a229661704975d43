-- Differs from PostgreSQL: no writes inside WITH, so three statements; the rows come as JSON.

-- name: job_enqueue
-- Store jobs; each is ready where its time has come, and scheduled otherwise. One that has to wait
-- for its turn is blocked where its time has come, and its key is among the arrivals. In a fair queue
-- that is its tenant's turn; its limits are asked when it is claimed.
-- Returns id, scheduled_at, created_at and state of each, in the order given.
-- keep: ids
INSERT INTO dibs_jobs (
    kind, queue, priority, args, max_attempts, scheduled_at, created_at, timeout, retry, limits, turn
)
SELECT
    json_extract(i.value, '$[0]'), json_extract(i.value, '$[1]'), json_extract(i.value, '$[2]'),
    json_extract(i.value, '$[3]'), json_extract(i.value, '$[4]'),
    COALESCE(json_extract(i.value, '$[5]'), :now + json_extract(i.value, '$[6]')), :now,
    json_extract(i.value, '$[7]'), json_extract(i.value, '$[8]'), json_extract(i.value, '$[9]'),
    CASE WHEN q.fair_by IS NOT NULL AND json_extract(i.value, '$[2]') < q.fair_below
        THEN 'fair:' || json_array(q.name, substr(
            json_extract(json_extract(i.value, '$[3]'), '$.' || q.fair_by), 1, 200
        ))
        ELSE json_extract(i.value, '$[10]') END
FROM json_each(:jobs) AS i LEFT JOIN dibs_queues AS q ON q.name = json_extract(i.value, '$[1]')
WHERE true ORDER BY i.key
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
