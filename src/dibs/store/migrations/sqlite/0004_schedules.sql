-- Schedules: jobs that recur, and the history of their ticks.

-- What code declared for a schedule, and what somebody wrote while the system ran, which wins; spec
-- is what holds, as JSON. next_at: when the next tick is due; NULL while it is paused, and where
-- none is left. last_at: the newest tick that was decided on; no tick up to it is ever fired again.
CREATE TABLE dibs_schedules (
    name TEXT PRIMARY KEY,
    declared TEXT,
    configured TEXT,
    spec TEXT GENERATED ALWAYS AS (COALESCE(configured, declared)) STORED,
    paused_at INTEGER,
    paused_by TEXT,
    pause_reason TEXT,
    next_at INTEGER,
    last_at INTEGER,
    created_at INTEGER NOT NULL,
    updated_at INTEGER NOT NULL
) WITHOUT ROWID;
CREATE INDEX dibs_schedules_due ON dibs_schedules (next_at) WHERE next_at IS NOT NULL;

-- What became of each tick. manual: 1 where a person had it run at once. job_id: the job that it
-- got, or that stood in its way. passed: how many ticks before it got neither job nor row.
CREATE TABLE dibs_ticks (
    schedule TEXT NOT NULL,
    tick INTEGER NOT NULL,
    manual INTEGER NOT NULL,
    outcome TEXT NOT NULL,
    job_id INTEGER,
    passed INTEGER NOT NULL,
    reason TEXT,
    fired_at INTEGER NOT NULL,
    PRIMARY KEY (schedule, tick, manual)
) WITHOUT ROWID;
