-- name: queue_moved
-- How many attempts of a queue ended since the minute :since, by priority, and in which minute the
-- first of them did. Jobs that were cancelled while they waited have no worker: they took no slot.
SELECT priority, CAST(SUM(count) AS BIGINT), MIN(minute) FROM dibs_counters
WHERE minute >= :since AND queue = :queue AND worker <> '' GROUP BY priority;

-- name: workers_busy
-- How many jobs of which priority each worker holds, and whether its lease holds too: 1 or 0. A
-- sub-select for the priority, since a join might read all jobs.
SELECT worker, priority, COUNT(*), MAX(alive) FROM (
    SELECT r.worker, (SELECT j.priority FROM dibs_jobs AS j WHERE j.id = r.job_id) AS priority,
        CASE WHEN w.expires_at >= :now THEN 1 ELSE 0 END AS alive
    FROM dibs_running AS r LEFT JOIN dibs_workers AS w ON w.id = r.worker
) AS held GROUP BY worker, priority;
