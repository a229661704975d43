-- Policies of queues, ranges of workers, and counters by priority.

-- What code declared for a queue, and what somebody configured while the system ran, which wins.
-- policy is what holds: JSON, or NULL for strict order.
CREATE TABLE dibs_queues (
    name TEXT PRIMARY KEY,
    declared TEXT,
    configured TEXT,
    policy TEXT GENERATED ALWAYS AS (NULLIF(COALESCE(configured, declared), '{}')) STORED,
    updated_at INTEGER NOT NULL
) WITHOUT ROWID;

ALTER TABLE dibs_workers ADD COLUMN lowest INTEGER NOT NULL DEFAULT -32768;
ALTER TABLE dibs_workers ADD COLUMN highest INTEGER NOT NULL DEFAULT 32767;

-- What was counted before is kept under priority 0: no rate is asked for that far back.
ALTER TABLE dibs_counters RENAME TO dibs_counters_before;
CREATE TABLE dibs_counters (
    minute INTEGER NOT NULL,
    worker TEXT NOT NULL,
    queue TEXT NOT NULL,
    kind TEXT NOT NULL,
    priority INTEGER NOT NULL,
    outcome TEXT NOT NULL,
    count INTEGER NOT NULL,
    wait INTEGER NOT NULL,
    run INTEGER NOT NULL,
    PRIMARY KEY (minute, worker, queue, kind, priority, outcome)
) WITHOUT ROWID;
INSERT INTO dibs_counters
SELECT minute, worker, queue, kind, 0, outcome, count, wait, run FROM dibs_counters_before;
DROP TABLE dibs_counters_before;
