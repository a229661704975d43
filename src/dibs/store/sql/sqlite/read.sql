-- Differs from PostgreSQL: the ids come as JSON.

-- name: jobs_load
-- The records of the jobs in :ids, in no order, each with its queue's policy and the time.
SELECT id, kind, queue, priority, state, args, attempt, max_attempts, crashes, scheduled_at,
    created_at, started_at, finished_at, worker, result, error, reason, cancelling,
    (SELECT q.policy FROM dibs_queues AS q WHERE q.name = queue), :now
FROM dibs_live WHERE id IN (SELECT value FROM json_each(:ids))
UNION ALL
SELECT id, kind, queue, priority, state, args, attempt, max_attempts, crashes, scheduled_at,
    created_at, started_at, finished_at, worker, result, error, reason, 0,
    (SELECT q.policy FROM dibs_queues AS q WHERE q.name = queue), :now
FROM dibs_history WHERE id IN (SELECT value FROM json_each(:ids));

-- name: stats_begin
-- The database's time, before it is counted.
SELECT :now;
