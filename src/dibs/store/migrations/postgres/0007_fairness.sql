-- Fairness: the tenants of a queue take turns.

-- The tenants of fair queues that have jobs waiting for their turn, under the key of their jobs.
-- pass: how many turns each had, in units that shrink with its weight.
CREATE TABLE dibs_tenants (
    key text PRIMARY KEY,
    queue text NOT NULL,
    pass bigint NOT NULL
);
CREATE INDEX dibs_tenants_next ON dibs_tenants (queue, pass, key);

-- fair_by: the arg that names the tenant; NULL where a queue is not fair. fair_below: jobs of this
-- priority and above take no part.
ALTER TABLE dibs_queues ADD COLUMN fair_by text GENERATED ALWAYS AS (
    substring(COALESCE(configured, declared) FROM '"fair": {"by": "([A-Za-z0-9_]+)"')
) STORED;
ALTER TABLE dibs_queues ADD COLUMN fair_below integer GENERATED ALWAYS AS (
    substring(
        COALESCE(configured, declared) FROM '"fair": {"by": "[A-Za-z0-9_]+", "below": (-?[0-9]{1,6})'
    )::integer
) STORED;
ALTER TABLE dibs_tenants SET (fillfactor = 50);
