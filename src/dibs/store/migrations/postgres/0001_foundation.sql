-- The places of a job. dibs_jobs is the record of every live job; each place that must be
-- searched has a narrow table of its own, and a job stands in exactly one of them. Ended jobs
-- leave for dibs_history; dead letters stay. Times are microseconds since 1970 UTC.

CREATE TABLE dibs_jobs (
    id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    kind text NOT NULL,
    queue text NOT NULL,
    priority smallint NOT NULL,
    args json NOT NULL,
    max_attempts integer NOT NULL,
    attempt integer NOT NULL DEFAULT 0,
    crashes integer NOT NULL DEFAULT 0,
    claim integer NOT NULL DEFAULT 0,
    scheduled_at bigint NOT NULL,
    created_at bigint NOT NULL,
    error text
);

CREATE TABLE dibs_scheduled (
    due bigint NOT NULL,
    job_id bigint NOT NULL,
    PRIMARY KEY (due, job_id)
);

-- One index only: the claim finds its rows in it and deletes them by their physical address.
CREATE TABLE dibs_ready (
    job_id bigint NOT NULL,
    queue text NOT NULL,
    priority smallint NOT NULL,
    scheduled_at bigint NOT NULL
);
CREATE UNIQUE INDEX dibs_ready_order ON dibs_ready (queue, priority DESC, scheduled_at, job_id);

CREATE TABLE dibs_blocked (
    key text NOT NULL,
    queue text NOT NULL,
    priority smallint NOT NULL,
    scheduled_at bigint NOT NULL,
    job_id bigint NOT NULL UNIQUE
);
CREATE INDEX dibs_blocked_order ON dibs_blocked (key, queue, priority DESC, scheduled_at, job_id);

CREATE TABLE dibs_running (
    job_id bigint PRIMARY KEY,
    worker text NOT NULL,
    claim integer NOT NULL,
    attempt integer NOT NULL,
    started_at bigint NOT NULL
);

CREATE TABLE dibs_dead (
    job_id bigint PRIMARY KEY,
    reason text NOT NULL,
    worker text,
    started_at bigint,
    died_at bigint NOT NULL
);

-- Partitioned by time, so that pruning can drop whole partitions.
CREATE TABLE dibs_history (
    id bigint NOT NULL,
    kind text NOT NULL,
    queue text NOT NULL,
    priority smallint NOT NULL,
    state text NOT NULL CHECK (state IN ('completed', 'cancelled')),
    args json NOT NULL,
    max_attempts integer NOT NULL,
    attempt integer NOT NULL,
    crashes integer NOT NULL,
    scheduled_at bigint NOT NULL,
    created_at bigint NOT NULL,
    started_at bigint,
    finished_at bigint NOT NULL,
    worker text,
    result json,
    error text,
    reason text
) PARTITION BY RANGE (finished_at);
CREATE INDEX dibs_history_id ON dibs_history (id);
CREATE TABLE dibs_history_default PARTITION OF dibs_history DEFAULT;

-- Only failed attempts: one that succeeds is told by its job's record.
CREATE TABLE dibs_attempts (
    job_id bigint NOT NULL,
    claim integer NOT NULL,
    attempt integer NOT NULL,
    worker text NOT NULL,
    started_at bigint NOT NULL,
    finished_at bigint NOT NULL,
    error_type text NOT NULL,
    error text NOT NULL,
    traceback text NOT NULL,
    PRIMARY KEY (job_id, claim)
);

CREATE TABLE dibs_workers (
    id text PRIMARY KEY,
    queues text NOT NULL,
    kinds text NOT NULL,
    concurrency integer NOT NULL,
    started_at bigint NOT NULL,
    beat_at bigint NOT NULL,
    expires_at bigint NOT NULL
);

-- Ended jobs and failed attempts per minute, so that nobody has to count history. A row per
-- worker: two workers never meet on one.
CREATE TABLE dibs_counters (
    minute bigint NOT NULL,
    worker text NOT NULL,
    queue text NOT NULL,
    kind text NOT NULL,
    outcome text NOT NULL,
    count bigint NOT NULL,
    wait bigint NOT NULL,
    run bigint NOT NULL,
    PRIMARY KEY (minute, worker, queue, kind, outcome)
);

-- Every live job with the state that its place gives it.
CREATE VIEW dibs_live AS
SELECT
    j.id, j.kind, j.queue, j.priority,
    CASE
        WHEN r.job_id IS NOT NULL THEN 'running'
        WHEN d.job_id IS NOT NULL THEN 'dead'
        WHEN s.job_id IS NOT NULL THEN 'scheduled'
        WHEN b.job_id IS NOT NULL THEN 'blocked'
        ELSE 'ready'
    END AS state,
    j.args, COALESCE(r.attempt, j.attempt) AS attempt, j.max_attempts, j.crashes,
    j.scheduled_at, j.created_at,
    COALESCE(r.started_at, d.started_at) AS started_at,
    d.died_at AS finished_at,
    COALESCE(r.worker, d.worker) AS worker,
    NULL::json AS result, j.error,
    COALESCE(d.reason, b.key) AS reason
FROM dibs_jobs AS j
LEFT JOIN dibs_running AS r ON r.job_id = j.id
LEFT JOIN dibs_dead AS d ON d.job_id = j.id
LEFT JOIN dibs_scheduled AS s ON s.due = j.scheduled_at AND s.job_id = j.id
LEFT JOIN dibs_blocked AS b ON b.job_id = j.id;

-- Rows of these tables live for seconds: clean up early and without pauses, so that claims scan
-- live rows, not the remains of finished ones.
ALTER TABLE dibs_jobs SET (fillfactor = 90);
ALTER TABLE dibs_workers SET (fillfactor = 50);
ALTER TABLE dibs_counters SET (fillfactor = 50);
DO $$
DECLARE hot text;
BEGIN
    FOREACH hot IN ARRAY ARRAY['dibs_jobs', 'dibs_ready', 'dibs_running', 'dibs_scheduled'] LOOP
        EXECUTE format(
            'ALTER TABLE %I SET (autovacuum_vacuum_scale_factor = 0.02, '
            'autovacuum_vacuum_threshold = 5000, autovacuum_vacuum_cost_delay = 0, '
            'autovacuum_analyze_scale_factor = 0.05, autovacuum_analyze_threshold = 5000)', hot);
    END LOOP;
END $$;
