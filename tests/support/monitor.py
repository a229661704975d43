"""How many jobs of each customer ran at once: counted by triggers, in the database itself.

Each start counts those that run by their own args and writes the most down, in its own transaction.
Nothing of what limits keep is asked. On PostgreSQL starts of one customer stand in line for it, so
that none misses another that is just committing.
"""

from __future__ import annotations

from tests.support.database import query

MOST = "CREATE TABLE watched (customer text PRIMARY KEY, most bigint NOT NULL)"
SQLITE = """
CREATE TRIGGER watch AFTER INSERT ON dibs_running BEGIN
    INSERT INTO watched (customer, most)
    SELECT CAST(json_extract(mine.args, '$.customer') AS TEXT), (
        SELECT COUNT(*) FROM dibs_running AS r CROSS JOIN dibs_jobs AS j ON j.id = r.job_id
        WHERE json_extract(j.args, '$.customer') = json_extract(mine.args, '$.customer')
    )
    FROM dibs_jobs AS mine
    WHERE mine.id = new.job_id AND json_extract(mine.args, '$.customer') IS NOT NULL
    ON CONFLICT (customer) DO UPDATE SET most = MAX(most, excluded.most);
END
"""
POSTGRES = """
CREATE FUNCTION watch() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    PERFORM pg_advisory_xact_lock(hash) FROM (
        SELECT DISTINCT hashtext(args ->> 'customer') AS hash FROM dibs_jobs
        WHERE id = ANY (ARRAY(SELECT job_id FROM started)) AND args ->> 'customer' IS NOT NULL
        ORDER BY 1
    ) AS customer;
    INSERT INTO watched AS w (customer, most)
    SELECT args ->> 'customer', count(*) FROM dibs_jobs
    WHERE id = ANY (ARRAY(SELECT job_id FROM dibs_running)) AND args ->> 'customer' IN (
        SELECT args ->> 'customer' FROM dibs_jobs
        WHERE id = ANY (ARRAY(SELECT job_id FROM started))
    )
    GROUP BY 1
    ON CONFLICT (customer) DO UPDATE SET most = GREATEST(w.most, excluded.most);
    RETURN NULL;
END $$;
CREATE TRIGGER watch AFTER INSERT ON dibs_running REFERENCING NEW TABLE AS started
FOR EACH STATEMENT EXECUTE FUNCTION watch()
"""


def watch(url: str) -> None:
    """Count from now on in a database that has dibs' tables."""
    query(url, MOST)
    query(url, SQLITE if url.startswith("sqlite:") else POSTGRES)


def most_at_once(url: str) -> dict[str, int]:
    """Return how many jobs of each customer ran at once, at most."""
    return dict(query(url, "SELECT customer, most FROM watched"))
