-- name: schedule_get
-- A schedule by its name, if there is one.
SELECT name, spec, declared, configured, paused_at, paused_by, pause_reason, next_at, last_at,
    created_at, updated_at
FROM dibs_schedules WHERE name = :name;

-- name: schedule_list
-- Every schedule, by name.
SELECT name, spec, declared, configured, paused_at, paused_by, pause_reason, next_at, last_at,
    created_at, updated_at
FROM dibs_schedules ORDER BY name;

-- name: schedule_add
-- Store a new schedule. Returns its name, or nothing where there is one of this name.
INSERT INTO dibs_schedules (name, declared, configured, next_at, created_at, updated_at)
VALUES (:name, :declared, :configured, :next_at, :now, :now)
ON CONFLICT (name) DO NOTHING
RETURNING name;

-- name: schedule_write
-- Change a schedule, whose row is locked.
UPDATE dibs_schedules
SET declared = :declared, configured = :configured, paused_at = :paused_at,
    paused_by = :paused_by, pause_reason = :pause_reason, next_at = :next_at, updated_at = :now
WHERE name = :name;

-- name: schedule_delete
-- Remove a schedule, whose row is locked, and its history.
DELETE FROM dibs_ticks WHERE schedule = :name;
DELETE FROM dibs_schedules WHERE name = :name;

-- name: schedule_next
-- The time, and when the next tick is due; NULL where none is.
SELECT :now, (SELECT MIN(next_at) FROM dibs_schedules WHERE next_at IS NOT NULL);

-- name: schedule_due
-- Up to :count schedules whose tick was due at :until, the latest one first: name, next_at, spec.
SELECT name, next_at, spec FROM dibs_schedules WHERE next_at <= :until
ORDER BY next_at LIMIT :count;

-- name: tick_list
-- Up to :count ticks of a schedule, the newest first.
SELECT tick, manual, outcome, job_id, passed, reason, fired_at FROM dibs_ticks
WHERE schedule = :name ORDER BY tick DESC, manual DESC LIMIT :count;

-- name: tick_manual
-- When a person last had a schedule run at once; NULL where nobody did.
SELECT MAX(tick) FROM dibs_ticks WHERE schedule = :name AND manual = 1;

-- name: tick_prune
-- Forget the ticks of a schedule but the newest :kept.
DELETE FROM dibs_ticks WHERE schedule = :name AND tick < (
    SELECT tick FROM dibs_ticks WHERE schedule = :name
    ORDER BY tick DESC, manual DESC LIMIT 1 OFFSET :kept - 1
);
