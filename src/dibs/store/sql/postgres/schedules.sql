-- Differs from SQLite: rows are locked, one that another worker has locked is left to it, and the
-- rows come as arrays.

-- name: schedule_lock
-- A schedule by its name, or all of them where :name is NULL, locked.
SELECT name, spec, declared, configured, paused_at, paused_by, pause_reason, next_at, last_at,
    created_at, updated_at
FROM dibs_schedules WHERE :name::text IS NULL OR name = :name::text ORDER BY name FOR UPDATE;

-- name: schedule_take
-- Move a schedule on to its next tick, unless another worker has, or somebody has changed it.
-- Returns its name, or nothing.
WITH free AS MATERIALIZED (
    SELECT name FROM dibs_schedules WHERE name = :name AND next_at = :due AND spec = :spec
    FOR UPDATE SKIP LOCKED
)
UPDATE dibs_schedules SET next_at = :next_at, last_at = :last_at
WHERE name = ANY (ARRAY(SELECT name FROM free))
RETURNING name;

-- name: tick_add
-- Write down what became of ticks; a tick that is there already is an error, and undoes it all.
INSERT INTO dibs_ticks (schedule, tick, manual, outcome, job_id, passed, reason, fired_at)
SELECT schedule, tick, manual, outcome, job_id, passed, reason, :now FROM unnest(
    :ticks_schedule::text[], :ticks_tick::bigint[], :ticks_manual::smallint[],
    :ticks_outcome::text[], :ticks_job_id::bigint[], :ticks_passed::bigint[],
    :ticks_reason::text[]
) AS t (schedule, tick, manual, outcome, job_id, passed, reason);

-- name: tick_jobs
-- The jobs of a schedule's ticks that have not ended, the oldest first.
-- OFFSET 0: looked up for each, where a join might read all jobs.
SELECT DISTINCT t.job_id FROM dibs_ticks AS t
CROSS JOIN LATERAL (SELECT id FROM dibs_jobs WHERE id = t.job_id OFFSET 0) AS j
WHERE t.schedule = :name
    AND NOT EXISTS (SELECT 1 FROM dibs_dead AS d WHERE d.job_id = t.job_id OFFSET 0)
ORDER BY t.job_id;
