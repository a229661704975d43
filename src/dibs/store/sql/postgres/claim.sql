-- Differs from SQLite: one statement; rows that another claim is taking are skipped.

-- name: job_claim
-- Take up to :count ready jobs of :queues from the front, in strict order. Jobs of :kinds start
-- running for :worker under a new claim; others are blocked until a worker knows their kind.
-- Returns the record of each in claim order; claim and attempt are NULL for the blocked ones.
WITH head AS MATERIALIZED (
    SELECT h.* FROM unnest(:queues::text[]) AS q (name)
    CROSS JOIN LATERAL (
        SELECT r.ctid AS address, r.priority, r.scheduled_at, r.job_id
        FROM dibs_ready AS r WHERE r.queue = q.name
        ORDER BY r.priority DESC, r.scheduled_at, r.job_id
        LIMIT :count FOR UPDATE SKIP LOCKED
    ) AS h
    ORDER BY h.priority DESC, h.scheduled_at, h.job_id
    LIMIT :count
), taken AS (
    DELETE FROM dibs_ready
    WHERE ctid = ANY (ARRAY(SELECT address FROM head))
    RETURNING job_id
), job AS MATERIALIZED (
    SELECT j.*, j.kind = ANY (:kinds::text[]) AS known
    FROM dibs_jobs AS j WHERE j.id = ANY (ARRAY(SELECT job_id FROM taken))
), running AS (
    INSERT INTO dibs_running (job_id, worker, claim, attempt, started_at)
    SELECT id, :worker, claim + 1, attempt + 1, :now FROM job WHERE known
), blocked AS (
    INSERT INTO dibs_blocked (key, queue, priority, scheduled_at, job_id)
    SELECT 'kind:' || kind, queue, priority, scheduled_at, id FROM job WHERE NOT known
)
SELECT id, kind, queue, priority, args::text,
    CASE WHEN known THEN claim + 1 END, CASE WHEN known THEN attempt + 1 END,
    max_attempts, crashes, scheduled_at, created_at, :now
FROM job ORDER BY priority DESC, scheduled_at, id;

-- name: job_admit
-- Make up to :count blocked jobs of :kinds ready again, for a worker of :queues that knows them.
-- Returns how many.
WITH head AS MATERIALIZED (
    SELECT h.* FROM unnest(:kinds::text[]) AS k (kind)
    CROSS JOIN unnest(:queues::text[]) AS q (queue)
    CROSS JOIN LATERAL (
        SELECT b.ctid AS address, b.priority, b.scheduled_at, b.job_id FROM dibs_blocked AS b
        WHERE b.key = 'kind:' || k.kind AND b.queue = q.queue
        ORDER BY b.priority DESC, b.scheduled_at, b.job_id
        LIMIT :count FOR UPDATE SKIP LOCKED
    ) AS h
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
