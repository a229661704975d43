-- Differs from PostgreSQL: no writes inside WITH, so several statements; the one writer needs no
-- row locks. Instead of LATERAL each queue's head is a correlated IN, which reads the heads only.

-- name: job_claim
-- Take up to :count ready jobs of :queues from the front, in strict order. Jobs of :kinds start
-- running for :worker under a new claim; others are blocked until a worker knows their kind.
-- Returns the record of each in claim order; claim and attempt are NULL for the blocked ones.
-- keep: taken
SELECT r.job_id FROM json_each(:queues) AS q CROSS JOIN dibs_ready AS r
WHERE r.job_id IN (
    SELECT h.job_id FROM dibs_ready AS h WHERE h.queue = q.value
    ORDER BY h.priority DESC, h.scheduled_at, h.job_id LIMIT :count
)
ORDER BY r.priority DESC, r.scheduled_at, r.job_id LIMIT :count;
DELETE FROM dibs_ready WHERE job_id IN (SELECT value FROM json_each(:taken));
INSERT INTO dibs_running (job_id, worker, claim, attempt, started_at)
SELECT id, :worker, claim + 1, attempt + 1, :now FROM dibs_jobs
WHERE id IN (SELECT value FROM json_each(:taken))
    AND kind IN (SELECT value FROM json_each(:kinds));
INSERT INTO dibs_blocked (key, queue, priority, scheduled_at, job_id)
SELECT 'kind:' || kind, queue, priority, scheduled_at, id FROM dibs_jobs
WHERE id IN (SELECT value FROM json_each(:taken))
    AND kind NOT IN (SELECT value FROM json_each(:kinds));
SELECT j.id, j.kind, j.queue, j.priority, j.args, r.claim, r.attempt,
    j.max_attempts, j.crashes, j.scheduled_at, j.created_at, :now
FROM json_each(:taken) AS t
CROSS JOIN dibs_jobs AS j ON j.id = t.value
LEFT JOIN dibs_running AS r ON r.job_id = j.id
ORDER BY t.key;

-- name: job_admit
-- Make up to :count blocked jobs of :kinds ready again, for a worker of :queues that knows them.
-- Returns how many.
-- keep: admitted
SELECT b.job_id FROM json_each(:kinds) AS k CROSS JOIN json_each(:queues) AS q
CROSS JOIN dibs_blocked AS b
WHERE b.job_id IN (
    SELECT h.job_id FROM dibs_blocked AS h
    WHERE h.key = 'kind:' || k.value AND h.queue = q.value
    ORDER BY h.priority DESC, h.scheduled_at, h.job_id LIMIT :count
)
ORDER BY b.priority DESC, b.scheduled_at, b.job_id LIMIT :count;
INSERT INTO dibs_ready (job_id, queue, priority, scheduled_at)
SELECT job_id, queue, priority, scheduled_at FROM dibs_blocked
WHERE job_id IN (SELECT value FROM json_each(:admitted));
DELETE FROM dibs_blocked WHERE job_id IN (SELECT value FROM json_each(:admitted));
SELECT COUNT(*) FROM json_each(:admitted);
