-- Retries and timeouts of their own, requests to cancel, records of every attempt, dead letters
-- that people work on, keys that make jobs unique, effects that happen once, and more of workers.

-- timeout: microseconds; 0 for none, NULL for that of the kind or queue. retry: JSON, or NULL for
-- that of the kind. unique_during: until when the job holds unique_key: `waiting` or `active`.
ALTER TABLE dibs_jobs ADD COLUMN timeout INTEGER;
ALTER TABLE dibs_jobs ADD COLUMN retry TEXT;
ALTER TABLE dibs_jobs ADD COLUMN unique_key TEXT;
ALTER TABLE dibs_jobs ADD COLUMN unique_during TEXT CHECK (unique_during IN ('waiting', 'active'));

-- Why somebody wants it cancelled, '' without a reason; NULL where nobody does.
ALTER TABLE dibs_running ADD COLUMN cancel TEXT;
CREATE INDEX dibs_running_cancel ON dibs_running (worker) WHERE cancel IS NOT NULL;

-- Every attempt but one that ended its job well: that one is told by the job's record.
ALTER TABLE dibs_attempts RENAME TO dibs_attempts_before;
CREATE TABLE dibs_attempts (
    job_id INTEGER NOT NULL,
    claim INTEGER NOT NULL,
    attempt INTEGER NOT NULL,
    worker TEXT NOT NULL,
    started_at INTEGER NOT NULL,
    finished_at INTEGER NOT NULL,
    outcome TEXT NOT NULL,
    error_type TEXT,
    error TEXT,
    traceback TEXT,
    PRIMARY KEY (job_id, claim)
) WITHOUT ROWID;
INSERT INTO dibs_attempts
SELECT job_id, claim, attempt, worker, started_at, finished_at, 'failed', error_type, error,
    traceback
FROM dibs_attempts_before;
DROP TABLE dibs_attempts_before;

ALTER TABLE dibs_dead ADD COLUMN reviewed_at INTEGER;
ALTER TABLE dibs_dead ADD COLUMN reviewed_by TEXT;
CREATE INDEX dibs_dead_order ON dibs_dead (died_at, job_id);

-- Dead letters with what they are picked by; the error with a to z for A to Z, and no other letter
-- changed, on both engines.
CREATE VIEW dibs_letters AS
SELECT d.job_id, d.reason, d.died_at, d.reviewed_at, d.reviewed_by, j.kind, j.queue,
    lower(j.error) AS error
FROM dibs_dead AS d JOIN dibs_jobs AS j ON j.id = d.job_id;

-- What people wrote about a dead letter; stays with the job when it is replayed.
CREATE TABLE dibs_notes (
    id INTEGER PRIMARY KEY,
    job_id INTEGER NOT NULL,
    written_at INTEGER NOT NULL,
    author TEXT,
    note TEXT NOT NULL
);
CREATE INDEX dibs_notes_job ON dibs_notes (job_id, id);

-- Who holds a key, and until when: its job's start (`waiting`), its end (`active`), or expires_at
-- (`period`), whatever becomes of the job.
CREATE TABLE dibs_keys (
    key TEXT PRIMARY KEY,
    job_id INTEGER NOT NULL,
    during TEXT NOT NULL CHECK (during IN ('waiting', 'active', 'period')),
    expires_at INTEGER
) WITHOUT ROWID;
CREATE INDEX dibs_keys_job ON dibs_keys (job_id);
CREATE INDEX dibs_keys_expiry ON dibs_keys (expires_at) WHERE expires_at IS NOT NULL;

-- Blocks of a handler that were done, in the transaction of their effects.
CREATE TABLE dibs_effects (
    job_id INTEGER NOT NULL,
    name TEXT NOT NULL,
    done_at INTEGER NOT NULL,
    result TEXT,
    PRIMARY KEY (job_id, name)
) WITHOUT ROWID;

-- reserve: slots by priority, as JSON. loops: when each loop last succeeded, as JSON. skew: the
-- worker's clock minus the database's, in microseconds.
ALTER TABLE dibs_workers ADD COLUMN reserve TEXT NOT NULL DEFAULT '{}';
ALTER TABLE dibs_workers ADD COLUMN leaked INTEGER NOT NULL DEFAULT 0;
ALTER TABLE dibs_workers ADD COLUMN loops TEXT NOT NULL DEFAULT '{}';
ALTER TABLE dibs_workers ADD COLUMN skew INTEGER NOT NULL DEFAULT 0;

DROP VIEW dibs_live;
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
    COALESCE(d.reason, b.key, NULLIF(r.cancel, '')) AS reason,
    r.cancel IS NOT NULL AS cancelling
FROM dibs_jobs AS j
LEFT JOIN dibs_running AS r ON r.job_id = j.id
LEFT JOIN dibs_dead AS d ON d.job_id = j.id
LEFT JOIN dibs_scheduled AS s ON s.due = j.scheduled_at AND s.job_id = j.id
LEFT JOIN dibs_blocked AS b ON b.job_id = j.id;
