-- Differs from PostgreSQL: the rows come as JSON, and the one writer needs no row locks.

-- name: key_take
-- Take those of :keys that no job holds; key_assign says for whom. Returns them.
INSERT INTO dibs_keys (key, job_id, during)
SELECT value, 0, 'waiting' FROM json_each(:keys) WHERE true
ON CONFLICT (key) DO NOTHING RETURNING key;

-- name: key_holders
-- Who holds :keys. Returns key, job_id, and whether its time is over.
SELECT key, job_id, COALESCE(expires_at <= :now, 0) FROM dibs_keys
WHERE key IN (SELECT value FROM json_each(:keys));

-- name: key_expire
-- Free those of :keys whose time is over.
DELETE FROM dibs_keys WHERE key IN (SELECT value FROM json_each(:keys)) AND expires_at <= :now;

-- name: key_release
-- Free those of :keys that this transaction took and no job got.
DELETE FROM dibs_keys WHERE key IN (SELECT value FROM json_each(:keys)) AND +job_id = 0;

-- name: key_assign
-- Say which job holds each of the keys that were taken, and until when. A job's record names the
-- key that its start or its end frees.
UPDATE dibs_keys AS k
SET job_id = i.job_id, during = i.during, expires_at = :now + i.period
FROM (
    SELECT json_extract(value, '$[0]') AS key, json_extract(value, '$[1]') AS job_id,
        json_extract(value, '$[2]') AS during, json_extract(value, '$[3]') AS period
    FROM json_each(:rows)
) AS i
WHERE k.key = i.key;
UPDATE dibs_jobs AS j SET unique_key = i.key, unique_during = i.during
FROM (
    SELECT json_extract(value, '$[0]') AS key, json_extract(value, '$[1]') AS job_id,
        json_extract(value, '$[2]') AS during
    FROM json_each(:rows)
) AS i
WHERE j.id = i.job_id AND i.during <> 'period';

-- name: key_prune
-- Drop up to :count keys whose time is over. Returns them.
DELETE FROM dibs_keys WHERE key IN (
    SELECT key FROM dibs_keys WHERE expires_at <= :now ORDER BY expires_at LIMIT :count
) RETURNING key;

-- name: job_replace
-- Give jobs that wait new args and options; they enter their places anew. Returns the ids of those
-- that waited.
-- keep: waiting
SELECT r.job_id FROM json_each(:jobs) AS i
CROSS JOIN dibs_ready AS r ON r.job_id = json_extract(i.value, '$[0]')
UNION ALL
SELECT j.id FROM json_each(:jobs) AS i
CROSS JOIN dibs_jobs AS j ON j.id = json_extract(i.value, '$[0]')
CROSS JOIN dibs_scheduled AS s ON s.due = j.scheduled_at AND s.job_id = j.id
UNION ALL
SELECT b.job_id FROM json_each(:jobs) AS i
CROSS JOIN dibs_blocked AS b ON b.job_id = json_extract(i.value, '$[0]');
INSERT INTO dibs_arrivals (key, count)
SELECT json_extract(need.value, '$[0]'), COUNT(*)
FROM json_each(:waiting) AS w CROSS JOIN dibs_ready AS r ON r.job_id = w.value
CROSS JOIN dibs_jobs AS j ON j.id = r.job_id
CROSS JOIN json_each(j.limits) AS need GROUP BY 1;
DELETE FROM dibs_ready WHERE job_id IN (SELECT value FROM json_each(:waiting));
DELETE FROM dibs_scheduled WHERE (due, job_id) IN (
    SELECT j.scheduled_at, j.id FROM json_each(:waiting) AS w
    CROSS JOIN dibs_jobs AS j ON j.id = w.value
);
DELETE FROM dibs_blocked WHERE job_id IN (SELECT value FROM json_each(:waiting));
UPDATE dibs_jobs AS j
SET kind = i.kind, queue = i.queue, priority = i.priority, args = i.args,
    max_attempts = i.max_attempts, timeout = i.timeout, retry = i.retry, limits = i.limits,
    turn = COALESCE((
        SELECT 'fair:' || json_array(q.name, substr(
            json_extract(i.args, '$.' || q.fair_by), 1, 200
        ))
        FROM dibs_queues AS q
        WHERE q.name = i.queue AND q.fair_by IS NOT NULL AND i.priority < q.fair_below
    ), i.turn),
    scheduled_at = COALESCE(i.scheduled_at, :now + i.delay)
FROM (
    SELECT json_extract(value, '$[0]') AS job_id, json_extract(value, '$[1]') AS kind,
        json_extract(value, '$[2]') AS queue, json_extract(value, '$[3]') AS priority,
        json_extract(value, '$[4]') AS args, json_extract(value, '$[5]') AS max_attempts,
        json_extract(value, '$[6]') AS scheduled_at, json_extract(value, '$[7]') AS delay,
        json_extract(value, '$[8]') AS timeout, json_extract(value, '$[9]') AS retry,
        json_extract(value, '$[10]') AS limits, json_extract(value, '$[11]') AS turn
    FROM json_each(:jobs)
) AS i
WHERE j.id = i.job_id AND j.id IN (SELECT value FROM json_each(:waiting));
INSERT INTO dibs_ready (job_id, queue, priority, scheduled_at)
SELECT id, queue, priority, scheduled_at FROM dibs_jobs
WHERE id IN (SELECT value FROM json_each(:waiting)) AND scheduled_at <= :now AND turn IS NULL;
INSERT INTO dibs_blocked (key, queue, priority, scheduled_at, job_id)
SELECT turn, queue, priority, scheduled_at, id FROM dibs_jobs
WHERE id IN (SELECT value FROM json_each(:waiting)) AND scheduled_at <= :now AND turn IS NOT NULL;
INSERT INTO dibs_arrivals (key, count)
SELECT turn, COUNT(*) FROM dibs_jobs
WHERE id IN (SELECT value FROM json_each(:waiting)) AND scheduled_at <= :now AND turn IS NOT NULL
GROUP BY turn;
INSERT INTO dibs_scheduled (due, job_id)
SELECT scheduled_at, id FROM dibs_jobs
WHERE id IN (SELECT value FROM json_each(:waiting)) AND scheduled_at > :now;
SELECT value FROM json_each(:waiting);
