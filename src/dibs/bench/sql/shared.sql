-- name: bench_ended
-- How many jobs have ended, by the counters: cheap enough to ask while workers run.
SELECT CAST(COALESCE(SUM(count), 0) AS BIGINT) FROM dibs_counters;

-- name: bench_last
-- The highest id of an ended job.
SELECT COALESCE(MAX(id), 0) FROM dibs_history;

-- name: bench_window
-- Jobs above an id that ended: how many, the first claim and the last settle.
SELECT COUNT(*), MIN(started_at), MAX(finished_at) FROM dibs_history WHERE id > :after;

-- name: bench_held
-- 1 where a job of any state is in the database, or has ever ended in it.
SELECT CASE WHEN EXISTS (SELECT 1 FROM dibs_jobs) OR EXISTS (SELECT 1 FROM dibs_history)
    OR EXISTS (SELECT 1 FROM dibs_counters) THEN 1 ELSE 0 END;

-- name: bench_workers
-- How many workers live.
SELECT COUNT(*) FROM dibs_workers WHERE expires_at >= :now;
