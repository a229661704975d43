"""How many rows PostgreSQL has read, by its own counters."""

from __future__ import annotations

import psycopg

READ = """
SELECT relname, seq_tup_read, (
    SELECT SUM(idx_tup_read)::bigint FROM pg_stat_user_indexes AS i WHERE i.relid = t.relid
)
FROM pg_stat_user_tables AS t WHERE relname LIKE 'dibs_%'
"""


def reads(admin: psycopg.Connection) -> dict[str, tuple[int, int]]:
    """Return how many rows each table gave: by being read whole, and by indexes."""
    admin.execute("SELECT pg_stat_force_next_flush()")
    return {name: (whole, found or 0) for name, whole, found in admin.execute(READ).fetchall()}


def left_alone(admin: psycopg.Connection) -> bool:
    others = "SELECT count(*) FROM pg_stat_activity WHERE datname = current_database()"
    return admin.execute(others).fetchall() == [(1,)]
