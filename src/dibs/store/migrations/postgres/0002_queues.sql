-- Policies of queues, ranges of workers, and counters by priority.

-- What code declared for a queue, and what somebody configured while the system ran, which wins.
-- policy is what holds: JSON, or NULL for strict order.
CREATE TABLE dibs_queues (
    name text PRIMARY KEY,
    declared text,
    configured text,
    policy text GENERATED ALWAYS AS (NULLIF(COALESCE(configured, declared), '{}')) STORED,
    updated_at bigint NOT NULL
);

ALTER TABLE dibs_workers ADD COLUMN lowest smallint NOT NULL DEFAULT -32768;
ALTER TABLE dibs_workers ADD COLUMN highest smallint NOT NULL DEFAULT 32767;

-- What was counted before is kept under priority 0: no rate is asked for that far back.
ALTER TABLE dibs_counters RENAME TO dibs_counters_before;
CREATE TABLE dibs_counters (
    minute bigint NOT NULL,
    worker text NOT NULL,
    queue text NOT NULL,
    kind text NOT NULL,
    priority smallint NOT NULL,
    outcome text NOT NULL,
    count bigint NOT NULL,
    wait bigint NOT NULL,
    run bigint NOT NULL,
    PRIMARY KEY (minute, worker, queue, kind, priority, outcome)
);
INSERT INTO dibs_counters
SELECT minute, worker, queue, kind, 0, outcome, count, wait, run FROM dibs_counters_before;
DROP TABLE dibs_counters_before;
ALTER TABLE dibs_counters SET (fillfactor = 50);
