-- Limits: how many jobs may run at once, or start in a time, by key.

-- limits: what a job needs of its limits, as JSON: [[key, name, cost], ...]; NULL for a job without
-- any. turn: the key under which it waits when it is due; NULL where it is ready at once.
ALTER TABLE dibs_jobs ADD COLUMN limits text;
ALTER TABLE dibs_jobs ADD COLUMN turn text;

-- Jobs that wait under a key, in the order in which they get their turns.
-- Partial, so that nobody who looks for kinds reads it instead of the queue's own order.
CREATE INDEX dibs_blocked_turn ON dibs_blocked (key, priority DESC, scheduled_at, job_id)
WHERE NOT starts_with(key, 'kind:');

-- What code declared for a limit, and what somebody configured while the system ran, which wins.
-- rule is what holds, as JSON; NULL limits nothing.
CREATE TABLE dibs_limits (
    name text PRIMARY KEY,
    declared text,
    configured text,
    rule text GENERATED ALWAYS AS (NULLIF(COALESCE(configured, declared), '{}')) STORED,
    updated_at bigint NOT NULL
);

-- A row for each key that is in use; whoever counts under a key locks it. full_at: when the bucket
-- of a rate is full again. wake_at: when to look at those who wait under it; NULL where nobody does.
CREATE TABLE dibs_limit_keys (
    key text PRIMARY KEY,
    name text NOT NULL,
    full_at bigint NOT NULL DEFAULT 0,
    held_until bigint NOT NULL DEFAULT 0,
    wake_at bigint
);
CREATE INDEX dibs_limit_keys_name ON dibs_limit_keys (name, key);
CREATE INDEX dibs_limit_keys_wake ON dibs_limit_keys (wake_at) WHERE wake_at IS NOT NULL;

-- A row for each slot that is taken: by a job under its limits (part 0), or by its handler.
CREATE TABLE dibs_slots (
    key text NOT NULL,
    job_id bigint NOT NULL,
    part bigint NOT NULL,
    claim bigint NOT NULL,
    PRIMARY KEY (key, job_id, part)
);
CREATE INDEX dibs_slots_job ON dibs_slots (job_id);

-- Keys under which there is something new to look at: jobs came in, or slots came free in a
-- transaction that must not wait for a key. Inserted only, so that nobody waits for anybody.
CREATE TABLE dibs_arrivals (
    id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    key text NOT NULL,
    count bigint NOT NULL
);

-- How many jobs of a queue may run at once, on all workers; NULL for any number. By its text: a row
-- that holds no JSON must not stop a queue.
ALTER TABLE dibs_queues ADD COLUMN concurrency integer GENERATED ALWAYS AS (
    substring(COALESCE(configured, declared) FROM '"concurrency": ([0-9]{1,7})')::integer
) STORED;

DO $$
DECLARE hot text;
BEGIN
    FOREACH hot IN ARRAY ARRAY['dibs_blocked', 'dibs_slots', 'dibs_arrivals', 'dibs_limit_keys'] LOOP
        EXECUTE format(
            'ALTER TABLE %I SET (autovacuum_vacuum_scale_factor = 0.02, '
            'autovacuum_vacuum_threshold = 5000, autovacuum_vacuum_cost_delay = 0, '
            'autovacuum_analyze_scale_factor = 0.05, autovacuum_analyze_threshold = 5000)', hot);
    END LOOP;
END $$;
