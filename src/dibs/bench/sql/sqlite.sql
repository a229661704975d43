-- Differs from PostgreSQL: no writes inside WITH, and no TRUNCATE.

-- name: bench_insert
-- Store one ready job: the same INSERTs as an enqueue, and nothing else.
INSERT INTO dibs_jobs (kind, queue, priority, args, max_attempts, scheduled_at, created_at)
VALUES (:kind, :queue, 0, :args, 5, :now, :now);
INSERT INTO dibs_ready (job_id, queue, priority, scheduled_at)
VALUES (last_insert_rowid(), :queue, 0, :now);

-- name: bench_wipe
-- Leave no job, and no trace of one.
DELETE FROM dibs_ready;
DELETE FROM dibs_scheduled;
DELETE FROM dibs_blocked;
DELETE FROM dibs_running;
DELETE FROM dibs_dead;
DELETE FROM dibs_attempts;
DELETE FROM dibs_jobs;
DELETE FROM dibs_history;
DELETE FROM dibs_counters;
DELETE FROM dibs_workers;
