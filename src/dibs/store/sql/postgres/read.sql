-- Differs from SQLite: the ids come as arrays, and JSON as text, which callers' drivers would load;
-- and the planner has to be told how to count.

-- name: jobs_load
-- The records of the jobs in :ids, in no order, each with its queue's policy and the time.
SELECT id, kind, queue, priority, state, args::text, attempt, max_attempts, crashes, scheduled_at,
    created_at, started_at, finished_at, worker, result::text, error, reason, cancelling,
    (SELECT q.policy FROM dibs_queues AS q WHERE q.name = queue), :now
FROM dibs_live WHERE id = ANY (:ids::bigint[])
UNION ALL
SELECT id, kind, queue, priority, state, args::text, attempt, max_attempts, crashes, scheduled_at,
    created_at, started_at, finished_at, worker, result::text, error, reason, false,
    (SELECT q.policy FROM dibs_queues AS q WHERE q.name = queue), :now
FROM dibs_history WHERE id = ANY (:ids::bigint[]);

-- name: stats_begin
-- The database's time, before it is counted.
-- And whoever counts joins by hash: after a vacuum of empty tables that were filled since, the
-- planner expects one row in each, and would read all jobs again for every place.
WITH plan AS MATERIALIZED (SELECT set_config('enable_nestloop', 'off', true) AS setting)
SELECT :now FROM plan;
