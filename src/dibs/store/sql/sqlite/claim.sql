-- Differs from PostgreSQL: no writes inside WITH, so several statements; the one writer needs no
-- row locks. Instead of LATERAL there are correlated sub-selects, which read the heads only.

-- name: queue_lines
-- The lines of :queues with a priority from :lowest to :highest, from the highest down, each with
-- up to :count heads, of :kind alone where it is not NULL. Under strict order, which is that of a
-- policy without aging and weights, a queue's lines end where :enough heads were found. Queues that
-- are paused have none, unless :paused is 1. Returns queue, priority, the heads as JSON, the queue's
-- policy, the time, and how many more jobs of the queue may run, or NULL for any number.
-- A loose index scan: from each line to the head of the next one below it.
WITH RECURSIVE line (queue, policy, priority, heads, found) AS (
    SELECT q.value, (SELECT policy FROM dibs_queues WHERE name = q.value), :highest + 1, '[]', 0
    FROM json_each(:queues) AS q
    WHERE :paused = 1 OR q.value NOT IN (
        SELECT name FROM dibs_pauses WHERE what = 'queue' AND (until IS NULL OR until > :now)
    )
    UNION ALL
    SELECT line.queue, line.policy, next.priority,
        (
            SELECT json_group_array(json_array(h.scheduled_at, h.job_id)) FROM (
                SELECT r.scheduled_at, r.job_id FROM dibs_ready AS r
                WHERE r.queue = next.queue AND r.priority = next.priority AND (
                    :kind IS NULL
                    OR :kind = (SELECT j.kind FROM dibs_jobs AS j WHERE j.id = r.job_id)
                )
                ORDER BY r.scheduled_at, r.job_id LIMIT :count
            ) AS h
        ),
        line.found + json_array_length(line.heads)
    FROM line
    CROSS JOIN dibs_ready AS next ON next.job_id = (
        SELECT n.job_id FROM dibs_ready AS n
        WHERE n.queue = line.queue AND n.priority < line.priority AND n.priority >= :lowest
        ORDER BY n.priority DESC, n.scheduled_at, n.job_id LIMIT 1
    )
    WHERE line.found + json_array_length(line.heads) < :enough
        OR instr(line.policy, '"aging"') OR instr(line.policy, '"weights"')
)
SELECT queue, priority, heads, policy, :now,
    (SELECT q.concurrency - (SELECT COUNT(*) FROM dibs_slots AS s WHERE s.key = 'queue:' || q.name)
    FROM dibs_queues AS q WHERE q.name = line.queue AND q.concurrency IS NOT NULL)
FROM line WHERE heads <> '[]';

-- name: job_claim
-- Take the ready jobs in :ids. Jobs of :kinds start running for :worker under a new claim; others,
-- and those of kinds that are paused, are blocked until a worker admits them. Jobs with limits, and
-- those of the queues in :counted, are only taken, for limit_start and limit_block to put them
-- somewhere, or, with :decide = 0, put back. Returns the record of each; claim and attempt are NULL
-- for the blocked ones, and the last column is 1 for those with limits. By id, not so many from each
-- line: LIMIT cannot differ from line to line here, and nobody else has taken the heads that this
-- transaction saw.
DELETE FROM dibs_ready WHERE job_id IN (SELECT value FROM json_each(:ids));
INSERT INTO dibs_blocked (key, queue, priority, scheduled_at, job_id)
SELECT 'kind:' || kind, queue, priority, scheduled_at, id FROM dibs_jobs
WHERE id IN (SELECT value FROM json_each(:ids)) AND (
    kind NOT IN (SELECT value FROM json_each(:kinds)) OR kind IN (
        SELECT name FROM dibs_pauses WHERE what = 'kind' AND (until IS NULL OR until > :now)
    )
);
INSERT INTO dibs_arrivals (key, count) -- who leaves its turn unused leaves it to the next
SELECT json_extract(need.value, '$[0]'), COUNT(*)
FROM dibs_jobs AS j CROSS JOIN json_each(j.limits) AS need
WHERE j.id IN (SELECT value FROM json_each(:ids))
    AND EXISTS (SELECT 1 FROM dibs_blocked AS b WHERE b.job_id = j.id)
GROUP BY 1;
INSERT INTO dibs_running (job_id, worker, claim, attempt, started_at)
SELECT id, :worker, claim + 1, attempt + 1, :now FROM dibs_jobs AS j
WHERE id IN (SELECT value FROM json_each(:ids))
    AND limits IS NULL AND queue NOT IN (SELECT value FROM json_each(:counted))
    AND NOT EXISTS (SELECT 1 FROM dibs_blocked AS b WHERE b.job_id = j.id);
INSERT INTO dibs_ready (job_id, queue, priority, scheduled_at)
SELECT id, queue, priority, scheduled_at FROM dibs_jobs AS j
WHERE :decide = 0 AND id IN (SELECT value FROM json_each(:ids))
    AND NOT EXISTS (SELECT 1 FROM dibs_blocked AS b WHERE b.job_id = j.id)
    AND NOT EXISTS (SELECT 1 FROM dibs_running AS r WHERE r.job_id = j.id);
DELETE FROM dibs_keys
WHERE job_id IN (SELECT value FROM json_each(:ids)) AND during = 'waiting'
    AND EXISTS (SELECT 1 FROM dibs_running AS r WHERE r.job_id = dibs_keys.job_id);
SELECT j.id, j.kind, j.queue, j.priority, j.args,
    CASE WHEN b.job_id IS NULL THEN j.claim + 1 END,
    CASE WHEN b.job_id IS NULL THEN j.attempt + 1 END,
    j.max_attempts, j.crashes, j.scheduled_at, j.created_at, :now, j.timeout, j.retry, j.limits,
    r.job_id IS NULL AND b.job_id IS NULL
FROM json_each(:ids) AS t
CROSS JOIN dibs_jobs AS j ON j.id = t.value
LEFT JOIN dibs_running AS r ON r.job_id = j.id
LEFT JOIN dibs_blocked AS b ON b.job_id = j.id;

-- name: job_set_aside
-- Look at up to :count jobs of each of :lines, from a place in it on, and block those of kinds other
-- than :kinds, and of kinds that are paused. Returns their ids.
-- keep: aside
SELECT j.id FROM json_each(:lines) AS l CROSS JOIN dibs_jobs AS j
WHERE j.id IN (
    SELECT h.job_id FROM dibs_ready AS h
    WHERE h.queue = json_extract(l.value, '$[0]') AND h.priority = json_extract(l.value, '$[1]')
        AND (h.scheduled_at, h.job_id)
            >= (json_extract(l.value, '$[2]'), json_extract(l.value, '$[3]'))
    ORDER BY h.scheduled_at, h.job_id LIMIT :count
) AND (
    j.kind NOT IN (SELECT value FROM json_each(:kinds)) OR j.kind IN (
        SELECT name FROM dibs_pauses WHERE what = 'kind' AND (until IS NULL OR until > :now)
    )
);
INSERT INTO dibs_blocked (key, queue, priority, scheduled_at, job_id)
SELECT 'kind:' || kind, queue, priority, scheduled_at, id FROM dibs_jobs
WHERE id IN (SELECT value FROM json_each(:aside));
DELETE FROM dibs_ready WHERE job_id IN (SELECT value FROM json_each(:aside));
SELECT value FROM json_each(:aside);

-- name: job_admit
-- Make up to :count blocked jobs of :kinds that are not paused ready again, for a worker that knows
-- them and serves :queues from priority :lowest to :highest. Returns how many.
-- keep: admitted
SELECT b.job_id FROM json_each(:kinds) AS k CROSS JOIN json_each(:queues) AS q
CROSS JOIN dibs_blocked AS b
WHERE k.value NOT IN (
    SELECT name FROM dibs_pauses WHERE what = 'kind' AND (until IS NULL OR until > :now)
) AND b.job_id IN (
    SELECT h.job_id FROM dibs_blocked AS h
    WHERE h.key = 'kind:' || k.value AND h.queue = q.value
        AND h.priority BETWEEN :lowest AND :highest
    ORDER BY h.priority DESC, h.scheduled_at, h.job_id LIMIT :count
)
ORDER BY b.priority DESC, b.scheduled_at, b.job_id LIMIT :count;
INSERT INTO dibs_ready (job_id, queue, priority, scheduled_at)
SELECT job_id, queue, priority, scheduled_at FROM dibs_blocked
WHERE job_id IN (SELECT value FROM json_each(:admitted));
DELETE FROM dibs_blocked WHERE job_id IN (SELECT value FROM json_each(:admitted));
SELECT COUNT(*) FROM json_each(:admitted);
