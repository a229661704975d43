-- Limits: how many jobs may run at once, or start in a time, by key.

-- limits: what a job needs of its limits, as JSON: [[key, name, cost], ...]; NULL for a job without
-- any. turn: the key under which it waits when it is due; NULL where it is ready at once.
ALTER TABLE dibs_jobs ADD COLUMN limits TEXT;
ALTER TABLE dibs_jobs ADD COLUMN turn TEXT;

-- Jobs that wait under a key, in the order in which they get their turns.
CREATE INDEX dibs_blocked_turn ON dibs_blocked (key, priority DESC, scheduled_at, job_id);

-- What code declared for a limit, and what somebody configured while the system ran, which wins.
-- rule is what holds, as JSON; NULL limits nothing.
CREATE TABLE dibs_limits (
    name TEXT PRIMARY KEY,
    declared TEXT,
    configured TEXT,
    rule TEXT GENERATED ALWAYS AS (NULLIF(COALESCE(configured, declared), '{}')) STORED,
    updated_at INTEGER NOT NULL
);

-- A row for each key that is in use; whoever counts under a key locks it. full_at: when the bucket
-- of a rate is full again. wake_at: when to look at those who wait under it; NULL where nobody does.
CREATE TABLE dibs_limit_keys (
    key TEXT PRIMARY KEY,
    name TEXT NOT NULL,
    full_at INTEGER NOT NULL DEFAULT 0,
    held_until INTEGER NOT NULL DEFAULT 0,
    wake_at INTEGER
);
CREATE INDEX dibs_limit_keys_name ON dibs_limit_keys (name, key);
CREATE INDEX dibs_limit_keys_wake ON dibs_limit_keys (wake_at) WHERE wake_at IS NOT NULL;

-- A row for each slot that is taken: by a job under its limits (part 0), or by its handler.
CREATE TABLE dibs_slots (
    key TEXT NOT NULL,
    job_id INTEGER NOT NULL,
    part INTEGER NOT NULL,
    claim INTEGER NOT NULL,
    PRIMARY KEY (key, job_id, part)
) WITHOUT ROWID;
CREATE INDEX dibs_slots_job ON dibs_slots (job_id);

-- Keys under which there is something new to look at: jobs came in, or slots came free in a
-- transaction that must not wait for a key. Inserted only, so that nobody waits for anybody.
CREATE TABLE dibs_arrivals (
    id INTEGER PRIMARY KEY,
    key TEXT NOT NULL,
    count INTEGER NOT NULL
);

-- How many jobs of a queue may run at once, on all workers; NULL for any number.
ALTER TABLE dibs_queues ADD COLUMN concurrency INTEGER GENERATED ALWAYS AS (
    CASE WHEN json_valid(COALESCE(configured, declared))
        THEN json_extract(COALESCE(configured, declared), '$.concurrency') END
) VIRTUAL;
