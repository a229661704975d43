-- Schedules: jobs that recur, and the history of their ticks.

-- What code declared for a schedule, and what somebody wrote while the system ran, which wins; spec
-- is what holds, as JSON. next_at: when the next tick is due; NULL while it is paused, and where
-- none is left. last_at: the newest tick that was decided on; no tick up to it is ever fired again.
CREATE TABLE dibs_schedules (
    name text PRIMARY KEY,
    declared text,
    configured text,
    spec text GENERATED ALWAYS AS (COALESCE(configured, declared)) STORED,
    paused_at bigint,
    paused_by text,
    pause_reason text,
    next_at bigint,
    last_at bigint,
    created_at bigint NOT NULL,
    updated_at bigint NOT NULL
);
CREATE INDEX dibs_schedules_due ON dibs_schedules (next_at) WHERE next_at IS NOT NULL;

-- What became of each tick. manual: 1 where a person had it run at once. job_id: the job that it
-- got, or that stood in its way. passed: how many ticks before it got neither job nor row.
CREATE TABLE dibs_ticks (
    schedule text NOT NULL,
    tick bigint NOT NULL,
    manual smallint NOT NULL,
    outcome text NOT NULL,
    job_id bigint,
    passed bigint NOT NULL,
    reason text,
    fired_at bigint NOT NULL,
    PRIMARY KEY (schedule, tick, manual)
);
