-- Fairness: the tenants of a queue take turns.

-- The tenants of fair queues that have jobs waiting for their turn, under the key of their jobs.
-- pass: how many turns each had, in units that shrink with its weight.
CREATE TABLE dibs_tenants (
    key TEXT PRIMARY KEY,
    queue TEXT NOT NULL,
    pass INTEGER NOT NULL
) WITHOUT ROWID;
CREATE INDEX dibs_tenants_next ON dibs_tenants (queue, pass, key);

-- fair_by: the arg that names the tenant; NULL where a queue is not fair. fair_below: jobs of this
-- priority and above take no part.
ALTER TABLE dibs_queues ADD COLUMN fair_by TEXT GENERATED ALWAYS AS (
    CASE WHEN json_valid(COALESCE(configured, declared))
        THEN json_extract(COALESCE(configured, declared), '$.fair.by') END
) VIRTUAL;
ALTER TABLE dibs_queues ADD COLUMN fair_below INTEGER GENERATED ALWAYS AS (
    CASE WHEN json_valid(COALESCE(configured, declared))
        THEN json_extract(COALESCE(configured, declared), '$.fair.below') END
) VIRTUAL;
