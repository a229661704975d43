-- Differs from PostgreSQL: the rows come as JSON, several statements instead of writes inside WITH,
-- and nobody locks a key: there is one writer at a time. LIMIT cannot differ from key to key here, so
-- those who wait are walked through, from each to the next.

-- name: arrivals_take
-- Take up to :count arrivals. Returns key and count of each.
DELETE FROM dibs_arrivals WHERE id IN (SELECT id FROM dibs_arrivals ORDER BY id LIMIT :count)
RETURNING key, count;

-- name: limit_lock
-- Lock keys, which the one writer has; those that have no row get one.
INSERT INTO dibs_limit_keys (key, name)
SELECT json_extract(value, '$[0]'), json_extract(value, '$[1]') FROM json_each(:rows) WHERE true
ON CONFLICT (key) DO NOTHING;

-- name: limit_state
-- :keys as they stand. Returns key, rule, slots taken, full_at, held_until, how many wait under it
-- (no more than :most are counted), when to look at it, the limits of the first who waits, since when
-- turns are untaken and of which lines, and the time.
SELECT k.key,
    CASE WHEN substr(k.key, 1, 6) = 'queue:' THEN (
        SELECT '{"concurrency": ' || q.concurrency || '}' FROM dibs_queues AS q
        WHERE q.name = substr(k.key, 7)
    ) ELSE (SELECT l.rule FROM dibs_limits AS l WHERE l.name = k.name) END,
    (SELECT COUNT(*) FROM dibs_slots AS s WHERE s.key = k.key),
    k.full_at, k.held_until,
    (SELECT COUNT(*) FROM (
        SELECT 1 FROM dibs_blocked AS b WHERE b.key = k.key LIMIT :most
    ) AS waiting),
    k.wake_at,
    (SELECT j.limits FROM dibs_jobs AS j WHERE j.id = (
        SELECT b.job_id FROM dibs_blocked AS b WHERE b.key = k.key
        ORDER BY b.priority DESC, b.scheduled_at, b.job_id LIMIT 1
    )),
    k.offered_at, k.untaken, :now
FROM dibs_limit_keys AS k WHERE k.key IN (SELECT value FROM json_each(:keys));

-- name: limit_admit
-- Make the first `count` jobs that wait under each key ready. Returns key and queue of each.
-- keep: moved
WITH RECURSIVE head (key, count, job_id) AS (
    SELECT json_extract(i.value, '$[0]'), json_extract(i.value, '$[1]'), (
        SELECT b.job_id FROM dibs_blocked AS b WHERE b.key = json_extract(i.value, '$[0]')
        ORDER BY b.priority DESC, b.scheduled_at, b.job_id LIMIT 1
    )
    FROM json_each(:rows) AS i
    UNION ALL
    SELECT h.key, h.count - 1, COALESCE(
        (
            SELECT n.job_id FROM dibs_blocked AS n
            WHERE n.key = b.key AND n.priority = b.priority
                AND (n.scheduled_at, n.job_id) > (b.scheduled_at, b.job_id)
            ORDER BY n.scheduled_at, n.job_id LIMIT 1
        ),
        (
            SELECT n.job_id FROM dibs_blocked AS n WHERE n.key = b.key AND n.priority < b.priority
            ORDER BY n.priority DESC, n.scheduled_at, n.job_id LIMIT 1
        )
    )
    FROM head AS h CROSS JOIN dibs_blocked AS b ON b.job_id = h.job_id WHERE h.count > 1
)
SELECT job_id FROM head WHERE job_id IS NOT NULL;
INSERT INTO dibs_ready (job_id, queue, priority, scheduled_at)
SELECT job_id, queue, priority, scheduled_at FROM dibs_blocked
WHERE job_id IN (SELECT value FROM json_each(:moved));
DELETE FROM dibs_blocked WHERE job_id IN (SELECT value FROM json_each(:moved))
RETURNING key, queue;

-- name: limit_lines
-- The lines in which jobs wait under each of :keys, by the order of the first who waits in each.
-- Returns key, queue, priority and the limits of that job.
WITH RECURSIVE line (key, job_id) AS (
    SELECT i.value, (
        SELECT b.job_id FROM dibs_blocked AS b WHERE b.key = i.value
        ORDER BY b.queue, b.priority DESC, b.scheduled_at, b.job_id LIMIT 1
    )
    FROM json_each(:keys) AS i
    UNION ALL
    SELECT l.key, COALESCE(
        (
            SELECT n.job_id FROM dibs_blocked AS n
            WHERE n.key = b.key AND n.queue = b.queue AND n.priority < b.priority
            ORDER BY n.priority DESC, n.scheduled_at, n.job_id LIMIT 1
        ),
        (
            SELECT n.job_id FROM dibs_blocked AS n WHERE n.key = b.key AND n.queue > b.queue
            ORDER BY n.queue, n.priority DESC, n.scheduled_at, n.job_id LIMIT 1
        )
    )
    FROM line AS l CROSS JOIN dibs_blocked AS b ON b.job_id = l.job_id
)
SELECT l.key, j.queue, j.priority, j.limits
FROM line AS l CROSS JOIN dibs_jobs AS j ON j.id = l.job_id
ORDER BY l.key, j.priority DESC, j.scheduled_at, j.id;

-- name: limit_admit_line
-- Make the first `count` jobs of each line that wait under each key ready. Returns key and queue of
-- each.
-- keep: moved
WITH RECURSIVE head (count, job_id) AS (
    SELECT json_extract(i.value, '$[3]'), (
        SELECT b.job_id FROM dibs_blocked AS b
        WHERE b.key = json_extract(i.value, '$[0]') AND b.queue = json_extract(i.value, '$[1]')
            AND b.priority = json_extract(i.value, '$[2]')
        ORDER BY b.scheduled_at, b.job_id LIMIT 1
    )
    FROM json_each(:rows) AS i
    UNION ALL
    SELECT h.count - 1, (
        SELECT n.job_id FROM dibs_blocked AS n
        WHERE n.key = b.key AND n.queue = b.queue AND n.priority = b.priority
            AND (n.scheduled_at, n.job_id) > (b.scheduled_at, b.job_id)
        ORDER BY n.scheduled_at, n.job_id LIMIT 1
    )
    FROM head AS h CROSS JOIN dibs_blocked AS b ON b.job_id = h.job_id WHERE h.count > 1
)
SELECT job_id FROM head WHERE job_id IS NOT NULL;
INSERT INTO dibs_ready (job_id, queue, priority, scheduled_at)
SELECT job_id, queue, priority, scheduled_at FROM dibs_blocked
WHERE job_id IN (SELECT value FROM json_each(:moved));
DELETE FROM dibs_blocked WHERE job_id IN (SELECT value FROM json_each(:moved))
RETURNING key, queue;

-- name: limit_start
-- Jobs that a claim by :worker has taken, and that may start, run since :at, each with the slots that
-- it takes.
INSERT INTO dibs_running (job_id, worker, claim, attempt, started_at)
SELECT id, :worker, claim + 1, attempt + 1, :at FROM dibs_jobs
WHERE id IN (SELECT value FROM json_each(:ids));
INSERT INTO dibs_slots (key, job_id, part, claim)
SELECT json_extract(i.value, '$[0]'), r.job_id, 0, r.claim
FROM json_each(:slots) AS i CROSS JOIN dibs_running AS r
    ON r.job_id = json_extract(i.value, '$[1]');
DELETE FROM dibs_keys
WHERE job_id IN (SELECT value FROM json_each(:ids)) AND during = 'waiting';

-- name: limit_block
-- Jobs that a claim has taken, and that may not start, wait under their `key`, or, where that is
-- NULL, are ready again.
INSERT INTO dibs_blocked (key, queue, priority, scheduled_at, job_id)
SELECT json_extract(i.value, '$[1]'), j.queue, j.priority, j.scheduled_at, j.id
FROM json_each(:rows) AS i CROSS JOIN dibs_jobs AS j ON j.id = json_extract(i.value, '$[0]')
WHERE json_extract(i.value, '$[1]') IS NOT NULL;
INSERT INTO dibs_ready (job_id, queue, priority, scheduled_at)
SELECT j.id, j.queue, j.priority, j.scheduled_at
FROM json_each(:rows) AS i CROSS JOIN dibs_jobs AS j ON j.id = json_extract(i.value, '$[0]')
WHERE json_extract(i.value, '$[1]') IS NULL;

-- name: limit_save
-- Keep how keys stand, and when to look at them again: at wake_at, or earlier where that was said.
-- With `sure` = 1 at wake_at, whatever was said.
UPDATE dibs_limit_keys AS k
SET full_at = i.full_at, held_until = i.held_until,
    wake_at = CASE
        WHEN i.sure = 1 OR k.wake_at IS NULL THEN i.wake_at
        WHEN i.wake_at IS NULL THEN k.wake_at
        ELSE MIN(k.wake_at, i.wake_at)
    END,
    offered_at = i.offered_at, untaken = i.untaken
FROM (
    SELECT json_extract(value, '$[0]') AS key, json_extract(value, '$[1]') AS full_at,
        json_extract(value, '$[2]') AS held_until, json_extract(value, '$[3]') AS wake_at,
        json_extract(value, '$[4]') AS sure, json_extract(value, '$[5]') AS offered_at,
        json_extract(value, '$[6]') AS untaken
    FROM json_each(:rows)
) AS i
WHERE k.key = i.key;

-- name: limit_forget
-- Drop up to :count rows of keys under which nothing is counted any more.
DELETE FROM dibs_limit_keys WHERE key IN (
    SELECT k.key FROM dibs_limit_keys AS k
    WHERE k.full_at <= :now AND k.held_until <= :now AND k.wake_at IS NULL
        AND NOT EXISTS (SELECT 1 FROM dibs_slots AS s WHERE s.key = k.key)
        AND NOT EXISTS (SELECT 1 FROM dibs_blocked AS b WHERE b.key = k.key)
        AND NOT EXISTS (SELECT 1 FROM dibs_tenants AS t WHERE 'fair:' || t.queue = k.name)
    LIMIT :count
);

-- name: slots_lock
-- Lock the keys under which the jobs in :ids hold slots, which the one writer has. Returns them, each
-- with its untaken lines.
SELECT DISTINCT s.key, k.untaken
FROM dibs_slots AS s LEFT JOIN dibs_limit_keys AS k ON k.key = s.key
WHERE s.job_id IN (SELECT value FROM json_each(:ids));

-- name: slots_free
-- Give the slots of the jobs in :ids to those who wait for them: as many become ready, but under keys
-- that have :untaken lines. Returns the queues in which more may start now.
-- keep: moved
WITH RECURSIVE head (key, count, job_id) AS (
    SELECT free.key, free.count, (
        SELECT b.job_id FROM dibs_blocked AS b WHERE b.key = free.key
        ORDER BY b.priority DESC, b.scheduled_at, b.job_id LIMIT 1
    )
    FROM (
        SELECT key, COUNT(*) AS count FROM dibs_slots
        WHERE job_id IN (SELECT value FROM json_each(:ids))
            AND key NOT IN (SELECT value FROM json_each(:untaken))
        GROUP BY key
    ) AS free
    UNION ALL
    SELECT h.key, h.count - 1, COALESCE(
        (
            SELECT n.job_id FROM dibs_blocked AS n
            WHERE n.key = b.key AND n.priority = b.priority
                AND (n.scheduled_at, n.job_id) > (b.scheduled_at, b.job_id)
            ORDER BY n.scheduled_at, n.job_id LIMIT 1
        ),
        (
            SELECT n.job_id FROM dibs_blocked AS n WHERE n.key = b.key AND n.priority < b.priority
            ORDER BY n.priority DESC, n.scheduled_at, n.job_id LIMIT 1
        )
    )
    FROM head AS h CROSS JOIN dibs_blocked AS b ON b.job_id = h.job_id WHERE h.count > 1
)
SELECT job_id FROM head WHERE job_id IS NOT NULL;
-- keep: served
DELETE FROM dibs_slots WHERE job_id IN (SELECT value FROM json_each(:ids))
RETURNING CASE WHEN substr(key, 1, 6) = 'queue:' THEN substr(key, 7) END;
INSERT INTO dibs_ready (job_id, queue, priority, scheduled_at)
SELECT job_id, queue, priority, scheduled_at FROM dibs_blocked
WHERE job_id IN (SELECT value FROM json_each(:moved));
DELETE FROM dibs_blocked WHERE job_id IN (SELECT value FROM json_each(:moved));
SELECT queue FROM dibs_ready WHERE job_id IN (SELECT value FROM json_each(:moved))
UNION SELECT value FROM json_each(:served) WHERE value IS NOT NULL;

-- name: slots_leave
-- Free the slots of the jobs in :ids, and leave it to others to look who waits for them: in a
-- transaction that must not wait for a key.
INSERT INTO dibs_arrivals (key, count)
SELECT key, COUNT(*) FROM dibs_slots
WHERE job_id IN (SELECT value FROM json_each(:ids)) GROUP BY key;
DELETE FROM dibs_slots WHERE job_id IN (SELECT value FROM json_each(:ids));

-- name: slots_sweep
-- Free slots whose attempt does not run any more. Returns their keys.
INSERT INTO dibs_arrivals (key, count)
SELECT s.key, COUNT(*) FROM dibs_slots AS s WHERE NOT EXISTS (
    SELECT 1 FROM dibs_running AS r WHERE r.job_id = s.job_id AND r.claim = s.claim
) GROUP BY s.key;
DELETE FROM dibs_slots WHERE NOT EXISTS (
    SELECT 1 FROM dibs_running AS r
    WHERE r.job_id = dibs_slots.job_id AND r.claim = dibs_slots.claim
) RETURNING key;

-- name: limit_declare
-- Store the rules that code declares, where they differ from what it declared before. Returns the
-- names of those that changed.
INSERT INTO dibs_limits (name, declared, updated_at)
SELECT json_extract(value, '$[0]'), json_extract(value, '$[1]'), :now
FROM json_each(:limits) WHERE true
ON CONFLICT (name) DO UPDATE SET declared = excluded.declared, updated_at = excluded.updated_at
WHERE declared IS NOT excluded.declared
RETURNING name;

-- name: limit_hurry
-- Have the keys of a limit looked at now.
UPDATE dibs_limit_keys SET wake_at = :now WHERE name = :name;
