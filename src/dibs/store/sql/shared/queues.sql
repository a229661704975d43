-- name: queue_configure
-- Set the policy of a queue.
INSERT INTO dibs_queues (name, configured, updated_at) VALUES (:name, :configured, :now)
ON CONFLICT (name) DO UPDATE
SET configured = excluded.configured, updated_at = excluded.updated_at;

-- name: queue_reset
-- Return a queue to the declared policy, if another is configured.
UPDATE dibs_queues SET configured = NULL, updated_at = :now
WHERE name = :name AND configured IS NOT NULL;

-- name: queue_get
-- A queue with its policy, if it ever had one.
SELECT name, policy, declared, configured, updated_at FROM dibs_queues WHERE name = :name;

-- name: queue_list
-- The queues that have a policy, or had one, by name.
SELECT name, policy, declared, configured, updated_at FROM dibs_queues ORDER BY name;

-- name: queue_names
-- The queues that have ready jobs.
-- A loose index scan, from each to the next.
WITH RECURSIVE queue (name) AS (
    SELECT MIN(queue) FROM dibs_ready
    UNION ALL
    SELECT (SELECT MIN(r.queue) FROM dibs_ready AS r WHERE r.queue > queue.name)
    FROM queue WHERE queue.name IS NOT NULL
)
SELECT name FROM queue WHERE name IS NOT NULL;
