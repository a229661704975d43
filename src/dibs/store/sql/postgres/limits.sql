-- Differs from SQLite: the rows come as arrays, and keys are locked, in the order of their code
-- points, as Python sorts. Who holds a key's lock sees all that was done under it, in statements of
-- its own that begin later. Nobody who may be slow ever locks one. Those who wait under a key are
-- read by an index that has no jobs of unknown kinds, which the planner has to be told.

-- name: arrivals_take
-- Take up to :count arrivals. Returns key and count of each.
DELETE FROM dibs_arrivals WHERE id = ANY (ARRAY(
    SELECT id FROM dibs_arrivals ORDER BY id LIMIT :count FOR UPDATE SKIP LOCKED
)) RETURNING key, count;

-- name: limit_lock
-- Lock keys to the end of the transaction; those that have no row get one.
-- An update that updates nothing locks its row all the same.
INSERT INTO dibs_limit_keys AS k (key, name)
SELECT key, name FROM unnest(:rows_key::text[], :rows_name::text[]) AS i (key, name)
ORDER BY key COLLATE "C" ON CONFLICT (key) DO UPDATE SET name = excluded.name WHERE false;

-- name: limit_state
-- :keys as they stand. Returns key, rule, slots taken, full_at, held_until, how many wait under it
-- (no more than :most are counted), when to look at it, the limits of the first who waits, since when
-- turns are untaken and of which lines, and the time.
SELECT k.key,
    CASE WHEN starts_with(k.key, 'queue:') THEN (
        SELECT '{"concurrency": ' || q.concurrency || '}' FROM dibs_queues AS q
        WHERE q.name = substr(k.key, 7)
    ) ELSE (SELECT l.rule FROM dibs_limits AS l WHERE l.name = k.name) END,
    (SELECT count(*) FROM dibs_slots AS s WHERE s.key = k.key),
    k.full_at, k.held_until,
    (SELECT count(*) FROM (
        SELECT 1 FROM dibs_blocked AS b WHERE b.key = k.key LIMIT :most
    ) AS waiting),
    k.wake_at,
    (SELECT j.limits FROM dibs_jobs AS j WHERE j.id = (
        SELECT b.job_id FROM dibs_blocked AS b WHERE b.key = k.key
            AND NOT starts_with(b.key, 'kind:')
        ORDER BY b.priority DESC, b.scheduled_at, b.job_id LIMIT 1
    )),
    k.offered_at, k.untaken, :now
FROM dibs_limit_keys AS k WHERE k.key = ANY (:keys::text[]);

-- name: limit_admit
-- Make the first `count` jobs that wait under each key ready. Returns key and queue of each.
WITH head AS MATERIALIZED (
    SELECT h.* FROM unnest(:rows_key::text[], :rows_count::integer[]) AS i (key, count)
    CROSS JOIN LATERAL (
        SELECT b.ctid AS address FROM dibs_blocked AS b WHERE b.key = i.key
            AND NOT starts_with(b.key, 'kind:')
        ORDER BY b.priority DESC, b.scheduled_at, b.job_id LIMIT i.count FOR UPDATE SKIP LOCKED
    ) AS h
), moved AS (
    DELETE FROM dibs_blocked WHERE ctid = ANY (ARRAY(SELECT address FROM head)) RETURNING *
), ready AS (
    INSERT INTO dibs_ready (job_id, queue, priority, scheduled_at)
    SELECT job_id, queue, priority, scheduled_at FROM moved
)
SELECT key, queue FROM moved;

-- name: limit_lines
-- The lines in which jobs wait under each of :keys, by the order of the first who waits in each.
-- Returns key, queue, priority and the limits of that job.
WITH RECURSIVE line AS (
    SELECT h.* FROM unnest(:keys::text[]) AS i (key) CROSS JOIN LATERAL (
        SELECT b.key, b.queue, b.priority, b.scheduled_at, b.job_id
        FROM dibs_blocked AS b WHERE b.key = i.key
        ORDER BY b.queue, b.priority DESC, b.scheduled_at, b.job_id LIMIT 1
    ) AS h
    UNION ALL
    SELECT h.* FROM line AS l CROSS JOIN LATERAL (
        (
            SELECT b.key, b.queue, b.priority, b.scheduled_at, b.job_id FROM dibs_blocked AS b
            WHERE b.key = l.key AND b.queue = l.queue AND b.priority < l.priority
            ORDER BY b.priority DESC, b.scheduled_at, b.job_id LIMIT 1
        )
        UNION ALL
        (
            SELECT b.key, b.queue, b.priority, b.scheduled_at, b.job_id FROM dibs_blocked AS b
            WHERE b.key = l.key AND b.queue > l.queue
            ORDER BY b.queue, b.priority DESC, b.scheduled_at, b.job_id LIMIT 1
        )
        LIMIT 1
    ) AS h
)
SELECT l.key, l.queue, l.priority, (SELECT j.limits FROM dibs_jobs AS j WHERE j.id = l.job_id)
FROM line AS l
ORDER BY l.key COLLATE "C", l.priority DESC, l.scheduled_at, l.job_id;

-- name: limit_admit_line
-- Make the first `count` jobs of each line that wait under each key ready. Returns key and queue of
-- each.
WITH head AS MATERIALIZED (
    SELECT h.* FROM unnest(
        :rows_key::text[], :rows_queue::text[], :rows_priority::smallint[], :rows_count::integer[]
    ) AS i (key, queue, priority, count)
    CROSS JOIN LATERAL (
        SELECT b.ctid AS address FROM dibs_blocked AS b
        WHERE b.key = i.key AND b.queue = i.queue AND b.priority = i.priority
        ORDER BY b.scheduled_at, b.job_id LIMIT i.count FOR UPDATE SKIP LOCKED
    ) AS h
), moved AS (
    DELETE FROM dibs_blocked WHERE ctid = ANY (ARRAY(SELECT address FROM head)) RETURNING *
), ready AS (
    INSERT INTO dibs_ready (job_id, queue, priority, scheduled_at)
    SELECT job_id, queue, priority, scheduled_at FROM moved
)
SELECT key, queue FROM moved;

-- name: limit_start
-- Jobs that a claim by :worker has taken, and that may start, run since :at, each with the slots that
-- it takes.
WITH job AS MATERIALIZED (
    SELECT id, claim, attempt, unique_key, unique_during FROM dibs_jobs
    WHERE id = ANY (:ids::bigint[])
), running AS (
    INSERT INTO dibs_running (job_id, worker, claim, attempt, started_at)
    SELECT id, :worker, claim + 1, attempt + 1, :at FROM job
), slot AS (
    INSERT INTO dibs_slots (key, job_id, part, claim)
    SELECT i.key, i.job_id, 0, j.claim + 1
    FROM unnest(:slots_key::text[], :slots_job_id::bigint[]) AS i (key, job_id)
    JOIN job AS j ON j.id = i.job_id
)
DELETE FROM dibs_keys
WHERE key = ANY (ARRAY(SELECT unique_key FROM job WHERE unique_during = 'waiting'))
    AND job_id = ANY (ARRAY(SELECT id FROM job)) AND during = 'waiting';

-- name: limit_block
-- Jobs that a claim has taken, and that may not start, wait under their `key`, or, where that is
-- NULL, are ready again.
WITH input AS MATERIALIZED (
    SELECT * FROM unnest(:rows_job_id::bigint[], :rows_key::text[]) AS i (job_id, key)
), job AS MATERIALIZED (
    SELECT j.id, j.queue, j.priority, j.scheduled_at, i.key
    FROM dibs_jobs AS j JOIN input AS i ON i.job_id = j.id
    WHERE j.id = ANY (ARRAY(SELECT job_id FROM input))
), waits AS (
    INSERT INTO dibs_blocked (key, queue, priority, scheduled_at, job_id)
    SELECT key, queue, priority, scheduled_at, id FROM job WHERE key IS NOT NULL
)
INSERT INTO dibs_ready (job_id, queue, priority, scheduled_at)
SELECT id, queue, priority, scheduled_at FROM job WHERE key IS NULL;

-- name: limit_save
-- Keep how keys stand, and when to look at them again: at wake_at, or earlier where that was said.
-- With `sure` = 1 at wake_at, whatever was said.
UPDATE dibs_limit_keys AS k
SET full_at = i.full_at, held_until = i.held_until,
    wake_at = CASE i.sure WHEN 1 THEN i.wake_at ELSE LEAST(k.wake_at, i.wake_at) END,
    offered_at = i.offered_at, untaken = i.untaken
FROM unnest(
    :rows_key::text[], :rows_full_at::bigint[], :rows_held_until::bigint[],
    :rows_wake_at::bigint[], :rows_sure::integer[], :rows_offered_at::bigint[],
    :rows_untaken::text[]
) AS i (key, full_at, held_until, wake_at, sure, offered_at, untaken)
WHERE k.key = ANY (:rows_key::text[]) AND k.key = i.key;

-- name: limit_forget
-- Drop up to :count rows of keys under which nothing is counted any more.
-- First locked, then looked at: what was done under them meanwhile is seen in the next statement.
-- keep: idle
SELECT key FROM dibs_limit_keys
WHERE full_at <= :now AND held_until <= :now AND wake_at IS NULL
    AND NOT EXISTS (SELECT 1 FROM dibs_slots AS s WHERE s.key = dibs_limit_keys.key)
LIMIT :count FOR UPDATE SKIP LOCKED;
DELETE FROM dibs_limit_keys AS k
WHERE k.key = ANY (:idle::text[])
    AND k.full_at <= :now AND k.held_until <= :now AND k.wake_at IS NULL
    AND NOT EXISTS (SELECT 1 FROM dibs_slots AS s WHERE s.key = k.key)
    AND NOT EXISTS (SELECT 1 FROM dibs_blocked AS b WHERE b.key = k.key)
    AND NOT EXISTS (SELECT 1 FROM dibs_tenants AS t WHERE 'fair:' || t.queue = k.name);

-- name: slots_lock
-- Lock the keys under which the jobs in :ids hold slots. Returns them, each with its untaken
-- lines.
SELECT key, untaken FROM dibs_limit_keys WHERE key = ANY (ARRAY(
    SELECT key FROM dibs_slots WHERE job_id = ANY (:ids::bigint[])
)) ORDER BY key COLLATE "C" FOR UPDATE;

-- name: slots_free
-- Give the slots of the jobs in :ids to those who wait for them: as many become ready, but under keys
-- that have :untaken lines. Returns the queues in which more may start now.
WITH freed AS (
    DELETE FROM dibs_slots WHERE job_id = ANY (:ids::bigint[]) RETURNING key
), free AS (
    SELECT key, count(*) AS count FROM freed GROUP BY key
), head AS MATERIALIZED (
    SELECT h.* FROM free CROSS JOIN LATERAL (
        SELECT b.ctid AS address FROM dibs_blocked AS b WHERE b.key = free.key
            AND NOT starts_with(b.key, 'kind:')
        ORDER BY b.priority DESC, b.scheduled_at, b.job_id LIMIT free.count FOR UPDATE SKIP LOCKED
    ) AS h
    WHERE free.key <> ALL (:untaken::text[])
), moved AS (
    DELETE FROM dibs_blocked WHERE ctid = ANY (ARRAY(SELECT address FROM head)) RETURNING *
), ready AS (
    INSERT INTO dibs_ready (job_id, queue, priority, scheduled_at)
    SELECT job_id, queue, priority, scheduled_at FROM moved
)
SELECT queue FROM moved UNION SELECT substr(key, 7) FROM free WHERE starts_with(key, 'queue:');

-- name: slots_leave
-- Free the slots of the jobs in :ids, and leave it to others to look who waits for them: in a
-- transaction that must not wait for a key.
WITH freed AS (
    DELETE FROM dibs_slots WHERE job_id = ANY (:ids::bigint[]) RETURNING key
)
INSERT INTO dibs_arrivals (key, count) SELECT key, count(*) FROM freed GROUP BY key;

-- name: slots_sweep
-- Free slots whose attempt does not run any more. Returns their keys.
WITH freed AS (
    DELETE FROM dibs_slots WHERE ctid = ANY (ARRAY(
        SELECT s.ctid FROM dibs_slots AS s WHERE NOT EXISTS (
            SELECT 1 FROM dibs_running AS r WHERE r.job_id = s.job_id AND r.claim = s.claim
        ) FOR UPDATE SKIP LOCKED
    )) RETURNING key
), told AS (
    INSERT INTO dibs_arrivals (key, count) SELECT key, count(*) FROM freed GROUP BY key
)
SELECT key FROM freed;

-- name: limit_declare
-- Store the rules that code declares, where they differ from what it declared before. Returns the
-- names of those that changed.
INSERT INTO dibs_limits AS l (name, declared, updated_at)
SELECT name, declared, :now FROM unnest(:limits_name::text[], :limits_declared::text[])
    AS d (name, declared)
ORDER BY name COLLATE "C"
ON CONFLICT (name) DO UPDATE SET declared = excluded.declared, updated_at = excluded.updated_at
WHERE l.declared IS DISTINCT FROM excluded.declared
RETURNING name;

-- name: limit_hurry
-- Have the keys of a limit looked at now.
UPDATE dibs_limit_keys SET wake_at = :now WHERE key = ANY (ARRAY(
    SELECT key FROM dibs_limit_keys WHERE name = :name ORDER BY key COLLATE "C" FOR UPDATE
));
