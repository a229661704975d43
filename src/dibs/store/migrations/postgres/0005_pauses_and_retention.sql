-- Pauses of queues and kinds, and an index by which ended jobs are pruned.

-- Which queues and kinds are paused, and until when; NULL until somebody resumes them. A row whose
-- time is over means nothing.
CREATE TABLE dibs_pauses (
    what text NOT NULL CHECK (what IN ('queue', 'kind')),
    name text NOT NULL,
    reason text,
    paused_by text,
    paused_at bigint NOT NULL,
    until bigint,
    PRIMARY KEY (what, name)
);

-- Without the id: jobs that ended together share an entry.
CREATE INDEX dibs_history_order ON dibs_history (queue, state, finished_at);
-- Pruning takes the oldest rows, and looks for the oldest ones left.
ALTER TABLE dibs_history_default SET (autovacuum_vacuum_scale_factor = 0.05);
