-- name: fair_queues
-- The queues of which tenants wait for their turn.
-- A loose index scan, from each to the next.
WITH RECURSIVE queue (name) AS (
    SELECT MIN(queue) FROM dibs_tenants
    UNION ALL
    SELECT (SELECT MIN(t.queue) FROM dibs_tenants AS t WHERE t.queue > queue.name)
    FROM queue WHERE queue.name IS NOT NULL
)
SELECT name FROM queue WHERE name IS NOT NULL;

-- name: fair_stock
-- How many jobs of :queue are ready, of which no more than :most are counted, and its policy.
SELECT
    (SELECT COUNT(*) FROM (SELECT 1 FROM dibs_ready WHERE queue = :queue LIMIT :most) AS ready),
    (SELECT policy FROM dibs_queues WHERE name = :queue);

-- name: fair_standing
-- How many jobs of the tenant with :key go before one, and how many tenants of :queue have jobs
-- waiting; no more than :most of each are counted.
SELECT
    (SELECT COUNT(*) FROM (
        SELECT 1 FROM dibs_blocked WHERE key = :key AND (
            priority > :priority OR (
                priority = :priority AND (scheduled_at, job_id) < (:scheduled_at, :id)
            )
        ) LIMIT :most
    ) AS ahead),
    (SELECT COUNT(*) FROM (SELECT 1 FROM dibs_tenants WHERE queue = :queue LIMIT :most) AS tenants);

-- name: fair_tenants
-- The next tenants of :queue, up to :count. Returns the key of each, its pass, and how many of its
-- jobs wait; no more than :count are counted.
SELECT t.key, t.pass, (
    SELECT COUNT(*) FROM (
        SELECT 1 FROM dibs_blocked AS b WHERE b.key = t.key LIMIT :count
    ) AS waiting
)
FROM (
    SELECT key, pass FROM dibs_tenants WHERE queue = :queue ORDER BY pass, key LIMIT :count
) AS t
ORDER BY t.pass, t.key;
