-- Pauses of queues and kinds, and an index by which ended jobs are pruned.

-- Which queues and kinds are paused, and until when; NULL until somebody resumes them. A row whose
-- time is over means nothing.
CREATE TABLE dibs_pauses (
    what TEXT NOT NULL CHECK (what IN ('queue', 'kind')),
    name TEXT NOT NULL,
    reason TEXT,
    paused_by TEXT,
    paused_at INTEGER NOT NULL,
    until INTEGER,
    PRIMARY KEY (what, name)
) WITHOUT ROWID;

CREATE INDEX dibs_history_order ON dibs_history (queue, state, finished_at);
