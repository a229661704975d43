-- Differs from SQLite: one statement; rows that another claim is taking are skipped.

-- name: queue_lines
-- The lines of :queues with a priority from :lowest to :highest, from the highest down, each with
-- up to :count heads, of :kind alone where it is not NULL. Under strict order, which is that of a
-- policy without aging and weights, a queue's lines end where :enough heads were found. Queues that
-- are paused have none, unless :paused is 1. A line in :marks is read behind it: what was claimed
-- before it stays in the index until a vacuum, and would be read again every time. Returns queue,
-- priority, the heads as JSON, the queue's policy, the time, and how many more jobs of the queue may
-- run, or NULL for any number.
-- A loose index scan: from each line to the next one below it, which is the highest that stands
-- above the next mark, or that mark's own line, empty or not. OFFSET 0: found once, where a
-- sub-select that is pulled up would be found again by each who names it. Arrays become JSON at the
-- end: quicker than JSON head by head.
WITH RECURSIVE mark AS MATERIALIZED (
    SELECT * FROM unnest(
        :marks_queue::text[], :marks_priority::integer[], :marks_scheduled_at::bigint[],
        :marks_job_id::bigint[]
    ) AS m (queue, priority, scheduled_at, job_id)
), line (queue, policy, priority, heads, found) AS (
    SELECT q.name, p.policy, :highest::integer + 1, '{}'::bigint[], 0
    FROM unnest(:queues::text[]) AS q (name) LEFT JOIN dibs_queues AS p ON p.name = q.name
    WHERE :paused::integer = 1 OR q.name <> ALL (ARRAY(
        SELECT name FROM dibs_pauses WHERE what = 'queue' AND (until IS NULL OR until > :now)
    ))
    UNION ALL
    SELECT line.queue, line.policy, next.priority, front.heads,
        line.found + COALESCE(array_length(front.heads, 1), 0)
    FROM line
    CROSS JOIN LATERAL (
        SELECT max(m.priority) AS priority FROM mark AS m
        WHERE m.queue = line.queue AND m.priority < line.priority AND m.priority >= :lowest::integer
    ) AS marked
    CROSS JOIN LATERAL (
        SELECT COALESCE((
            SELECT n.priority FROM dibs_ready AS n
            WHERE n.queue = line.queue AND n.priority < line.priority
                AND n.priority > COALESCE(marked.priority, :lowest::integer - 1)
            ORDER BY n.priority DESC LIMIT 1
        ), marked.priority) AS priority OFFSET 0
    ) AS next
    LEFT JOIN mark AS m ON m.queue = line.queue AND m.priority = next.priority
    CROSS JOIN LATERAL (
        SELECT ARRAY(
            SELECT ARRAY[r.scheduled_at, r.job_id] FROM dibs_ready AS r
            WHERE r.queue = line.queue AND r.priority = next.priority
                AND (r.scheduled_at, r.job_id)
                    > (COALESCE(m.scheduled_at, -9223372036854775808), COALESCE(m.job_id, 0))
                AND (
                    :kind::text IS NULL
                    OR :kind::text = (SELECT j.kind FROM dibs_jobs AS j WHERE j.id = r.job_id)
                )
            ORDER BY r.priority DESC, r.scheduled_at, r.job_id LIMIT :count
        ) AS heads OFFSET 0
    ) AS front
    WHERE next.priority IS NOT NULL
        AND (
            line.found < :enough::bigint
            OR strpos(line.policy, '"aging"') > 0 OR strpos(line.policy, '"weights"') > 0
        )
)
SELECT queue, priority, to_json(heads)::text, policy, :now,
    (SELECT q.concurrency - (SELECT count(*) FROM dibs_slots AS s WHERE s.key = 'queue:' || q.name)
    FROM dibs_queues AS q WHERE q.name = line.queue AND q.concurrency IS NOT NULL)
FROM line WHERE heads <> '{}';

-- name: job_claim
-- Take from the front of each of :lines so many jobs, from where that front was seen. Jobs of
-- :kinds start running for :worker under a new claim; others, and those of kinds that are paused,
-- are blocked until a worker admits them. Jobs with limits, and those of the queues in :counted, are
-- only taken, for limit_start and limit_block to put them somewhere, or, with :decide = 0, put back.
-- Returns the record of each; claim and attempt are NULL for the blocked ones, and the last column is
-- 1 for those with limits.
WITH head AS MATERIALIZED (
    SELECT h.* FROM unnest(
        :lines_queue::text[], :lines_priority::smallint[], :lines_scheduled_at::bigint[],
        :lines_job_id::bigint[], :lines_take::integer[]
    ) AS l (queue, priority, scheduled_at, job_id, take)
    CROSS JOIN LATERAL (
        SELECT r.ctid AS address FROM dibs_ready AS r
        WHERE r.queue = l.queue AND r.priority = l.priority
            AND (r.scheduled_at, r.job_id) >= (l.scheduled_at, l.job_id)
        ORDER BY r.queue, r.priority DESC, r.scheduled_at, r.job_id
        LIMIT l.take FOR UPDATE SKIP LOCKED
    ) AS h
), taken AS (
    DELETE FROM dibs_ready
    WHERE ctid = ANY (ARRAY(SELECT address FROM head))
    RETURNING job_id
), job AS MATERIALIZED (
    SELECT j.*, j.kind = ANY (:kinds::text[]) AND j.kind <> ALL (ARRAY(
            SELECT name FROM dibs_pauses WHERE what = 'kind' AND (until IS NULL OR until > :now)
        )) AS known,
        j.limits IS NOT NULL OR j.queue = ANY (:counted::text[]) AS limited
    FROM dibs_jobs AS j WHERE j.id = ANY (ARRAY(SELECT job_id FROM taken))
), running AS (
    INSERT INTO dibs_running (job_id, worker, claim, attempt, started_at)
    SELECT id, :worker, claim + 1, attempt + 1, :now FROM job WHERE known AND NOT limited
), blocked AS (
    INSERT INTO dibs_blocked (key, queue, priority, scheduled_at, job_id)
    SELECT 'kind:' || kind, queue, priority, scheduled_at, id FROM job WHERE NOT known
), back AS (
    INSERT INTO dibs_ready (job_id, queue, priority, scheduled_at)
    SELECT id, queue, priority, scheduled_at FROM job
    WHERE known AND limited AND :decide::integer = 0
), passed AS (
    -- Who leaves its turn under limits unused leaves it to the next.
    INSERT INTO dibs_arrivals (key, count)
    SELECT need ->> 0, count(*) FROM job CROSS JOIN json_array_elements(job.limits::json) AS need
    WHERE NOT known GROUP BY 1
), freed AS (
    -- By the key that the record names: without any, no key is looked for.
    DELETE FROM dibs_keys
    WHERE key = ANY (ARRAY(
        SELECT unique_key FROM job WHERE known AND NOT limited AND unique_during = 'waiting'
    )) AND job_id = ANY (ARRAY(SELECT id FROM job WHERE known AND NOT limited))
        AND during = 'waiting'
)
SELECT id, kind, queue, priority, args::text,
    CASE WHEN known THEN claim + 1 END, CASE WHEN known THEN attempt + 1 END,
    max_attempts, crashes, scheduled_at, created_at, :now, timeout, retry, limits,
    CASE WHEN known AND limited THEN 1 ELSE 0 END
FROM job;

-- name: job_set_aside
-- Look at up to :count jobs of each of :lines, from a place in it on, and block those of kinds other
-- than :kinds, and of kinds that are paused. Returns their ids.
-- Only those are locked: a claim would pass over the others, and take what stands behind them.
WITH front AS MATERIALIZED (
    SELECT h.address FROM unnest(
        :lines_queue::text[], :lines_priority::smallint[], :lines_scheduled_at::bigint[],
        :lines_job_id::bigint[]
    ) AS l (queue, priority, scheduled_at, job_id)
    CROSS JOIN LATERAL (
        SELECT r.ctid AS address, (SELECT j.kind FROM dibs_jobs AS j WHERE j.id = r.job_id) AS kind
        FROM dibs_ready AS r
        WHERE r.queue = l.queue AND r.priority = l.priority
            AND (r.scheduled_at, r.job_id) >= (l.scheduled_at, l.job_id)
        ORDER BY r.queue, r.priority DESC, r.scheduled_at, r.job_id LIMIT :count
    ) AS h
    WHERE h.kind <> ALL (:kinds::text[]) OR h.kind = ANY (ARRAY(
        SELECT name FROM dibs_pauses WHERE what = 'kind' AND (until IS NULL OR until > :now)
    ))
), free AS MATERIALIZED (
    SELECT ctid AS address FROM dibs_ready WHERE ctid = ANY (ARRAY(SELECT address FROM front))
    FOR UPDATE SKIP LOCKED
), taken AS (
    DELETE FROM dibs_ready WHERE ctid = ANY (ARRAY(SELECT address FROM free)) RETURNING job_id
)
INSERT INTO dibs_blocked (key, queue, priority, scheduled_at, job_id)
SELECT 'kind:' || kind, queue, priority, scheduled_at, id FROM dibs_jobs
WHERE id = ANY (ARRAY(SELECT job_id FROM taken)) RETURNING job_id;

-- name: job_admit
-- Make up to :count blocked jobs of :kinds that are not paused ready again, for a worker that knows
-- them and serves :queues from priority :lowest to :highest. Returns how many.
WITH head AS MATERIALIZED (
    SELECT h.* FROM unnest(:kinds::text[]) AS k (kind)
    CROSS JOIN unnest(:queues::text[]) AS q (queue)
    CROSS JOIN LATERAL (
        SELECT b.ctid AS address, b.priority, b.scheduled_at, b.job_id FROM dibs_blocked AS b
        WHERE b.key = 'kind:' || k.kind AND b.queue = q.queue
            AND b.priority BETWEEN :lowest::integer AND :highest::integer
        ORDER BY b.priority DESC, b.scheduled_at, b.job_id
        LIMIT :count FOR UPDATE SKIP LOCKED
    ) AS h
    WHERE k.kind <> ALL (ARRAY(
        SELECT name FROM dibs_pauses WHERE what = 'kind' AND (until IS NULL OR until > :now)
    ))
    ORDER BY h.priority DESC, h.scheduled_at, h.job_id
    LIMIT :count
), moved AS (
    DELETE FROM dibs_blocked WHERE ctid = ANY (ARRAY(SELECT address FROM head))
    RETURNING job_id, queue, priority, scheduled_at
), ready AS (
    INSERT INTO dibs_ready (job_id, queue, priority, scheduled_at)
    SELECT job_id, queue, priority, scheduled_at FROM moved
    RETURNING job_id
)
SELECT count(*) FROM ready;
