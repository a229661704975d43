-- Differs from PostgreSQL: the one writer needs no row locks; the rows come as JSON.

-- name: schedule_lock
-- A schedule by its name, or all of them where :name is NULL; the one writer has them locked.
SELECT name, spec, declared, configured, paused_at, paused_by, pause_reason, next_at, last_at,
    created_at, updated_at
FROM dibs_schedules WHERE :name IS NULL OR name = :name ORDER BY name;

-- name: schedule_take
-- Move a schedule on to its next tick, unless another worker has, or somebody has changed it.
-- Returns its name, or nothing.
UPDATE dibs_schedules SET next_at = :next_at, last_at = :last_at
WHERE name = :name AND next_at = :due AND spec = :spec
RETURNING name;

-- name: tick_add
-- Write down what became of ticks; a tick that is there already is an error, and undoes it all.
INSERT INTO dibs_ticks (schedule, tick, manual, outcome, job_id, passed, reason, fired_at)
SELECT json_extract(value, '$[0]'), json_extract(value, '$[1]'), json_extract(value, '$[2]'),
    json_extract(value, '$[3]'), json_extract(value, '$[4]'), json_extract(value, '$[5]'),
    json_extract(value, '$[6]'), :now
FROM json_each(:ticks);

-- name: tick_jobs
-- The jobs of a schedule's ticks that have not ended, the oldest first.
SELECT DISTINCT t.job_id FROM dibs_ticks AS t CROSS JOIN dibs_jobs AS j ON j.id = t.job_id
WHERE t.schedule = :name
    AND NOT EXISTS (SELECT 1 FROM dibs_dead AS d WHERE d.job_id = t.job_id)
ORDER BY t.job_id;
