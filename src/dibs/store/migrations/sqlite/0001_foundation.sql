-- The places of a job. dibs_jobs is the record of every live job; each place that must be
-- searched has a narrow table of its own, and a job stands in exactly one of them. Ended jobs
-- leave for dibs_history; dead letters stay. Times are microseconds since 1970 UTC.

CREATE TABLE dibs_jobs (
    -- AUTOINCREMENT: an id is never used again, although rows leave this table.
    id INTEGER PRIMARY KEY AUTOINCREMENT,
    kind TEXT NOT NULL,
    queue TEXT NOT NULL,
    priority INTEGER NOT NULL CHECK (priority BETWEEN -32768 AND 32767),
    args TEXT NOT NULL,
    max_attempts INTEGER NOT NULL,
    attempt INTEGER NOT NULL DEFAULT 0,
    crashes INTEGER NOT NULL DEFAULT 0,
    claim INTEGER NOT NULL DEFAULT 0,
    scheduled_at INTEGER NOT NULL,
    created_at INTEGER NOT NULL,
    error TEXT
);

CREATE TABLE dibs_scheduled (
    due INTEGER NOT NULL,
    job_id INTEGER NOT NULL,
    PRIMARY KEY (due, job_id)
) WITHOUT ROWID;

CREATE TABLE dibs_ready (
    job_id INTEGER PRIMARY KEY,
    queue TEXT NOT NULL,
    priority INTEGER NOT NULL,
    scheduled_at INTEGER NOT NULL
);
CREATE INDEX dibs_ready_order ON dibs_ready (queue, priority DESC, scheduled_at, job_id);

CREATE TABLE dibs_blocked (
    key TEXT NOT NULL,
    queue TEXT NOT NULL,
    priority INTEGER NOT NULL,
    scheduled_at INTEGER NOT NULL,
    job_id INTEGER NOT NULL UNIQUE
);
CREATE INDEX dibs_blocked_order ON dibs_blocked (key, queue, priority DESC, scheduled_at, job_id);

CREATE TABLE dibs_running (
    job_id INTEGER PRIMARY KEY,
    worker TEXT NOT NULL,
    claim INTEGER NOT NULL,
    attempt INTEGER NOT NULL,
    started_at INTEGER NOT NULL
);

CREATE TABLE dibs_dead (
    job_id INTEGER PRIMARY KEY,
    reason TEXT NOT NULL,
    worker TEXT,
    started_at INTEGER,
    died_at INTEGER NOT NULL
);

CREATE TABLE dibs_history (
    id INTEGER PRIMARY KEY,
    kind TEXT NOT NULL,
    queue TEXT NOT NULL,
    priority INTEGER NOT NULL,
    state TEXT NOT NULL CHECK (state IN ('completed', 'cancelled')),
    args TEXT NOT NULL,
    max_attempts INTEGER NOT NULL,
    attempt INTEGER NOT NULL,
    crashes INTEGER NOT NULL,
    scheduled_at INTEGER NOT NULL,
    created_at INTEGER NOT NULL,
    started_at INTEGER,
    finished_at INTEGER NOT NULL,
    worker TEXT,
    result TEXT,
    error TEXT,
    reason TEXT
);

-- Only failed attempts: one that succeeds is told by its job's record.
CREATE TABLE dibs_attempts (
    job_id INTEGER NOT NULL,
    claim INTEGER NOT NULL,
    attempt INTEGER NOT NULL,
    worker TEXT NOT NULL,
    started_at INTEGER NOT NULL,
    finished_at INTEGER NOT NULL,
    error_type TEXT NOT NULL,
    error TEXT NOT NULL,
    traceback TEXT NOT NULL,
    PRIMARY KEY (job_id, claim)
) WITHOUT ROWID;

CREATE TABLE dibs_workers (
    id TEXT PRIMARY KEY,
    queues TEXT NOT NULL,
    kinds TEXT NOT NULL,
    concurrency INTEGER NOT NULL,
    started_at INTEGER NOT NULL,
    beat_at INTEGER NOT NULL,
    expires_at INTEGER NOT NULL
) WITHOUT ROWID;

-- Ended jobs and failed attempts per minute, so that nobody has to count history. A row per
-- worker: two workers never meet on one.
CREATE TABLE dibs_counters (
    minute INTEGER NOT NULL,
    worker TEXT NOT NULL,
    queue TEXT NOT NULL,
    kind TEXT NOT NULL,
    outcome TEXT NOT NULL,
    count INTEGER NOT NULL,
    wait INTEGER NOT NULL,
    run INTEGER NOT NULL,
    PRIMARY KEY (minute, worker, queue, kind, outcome)
) WITHOUT ROWID;

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
    NULL AS result, j.error,
    COALESCE(d.reason, b.key) AS reason
FROM dibs_jobs AS j
LEFT JOIN dibs_running AS r ON r.job_id = j.id
LEFT JOIN dibs_dead AS d ON d.job_id = j.id
LEFT JOIN dibs_scheduled AS s ON s.due = j.scheduled_at AND s.job_id = j.id
LEFT JOIN dibs_blocked AS b ON b.job_id = j.id;
