"""Both engines in lockstep: the same operation on each, and the same answer from each."""

from __future__ import annotations

import sqlite3
from collections.abc import Callable
from typing import Any, TypeVar

import psycopg

from dibs.errors import DibsError
from dibs.model.queues import QueuePolicy, policy_to_json
from dibs.store import Role, Store, open_store
from dibs.store.statement import Operation, Row, Statement, Steps, operation

R = TypeVar("R")

PLACES = """
SELECT 'jobs', id, queue, priority, scheduled_at, claim FROM dibs_jobs
UNION ALL SELECT 'ready', job_id, queue, priority, scheduled_at, 0 FROM dibs_ready
UNION ALL SELECT 'blocked', job_id, queue, priority, scheduled_at, 0 FROM dibs_blocked
UNION ALL SELECT 'scheduled', job_id, NULL, NULL, due, 0 FROM dibs_scheduled
UNION ALL SELECT 'running', job_id, worker, NULL, started_at, claim FROM dibs_running
UNION ALL SELECT 'dead', job_id, reason, NULL, died_at, 0 FROM dibs_dead
UNION ALL SELECT 'history', id, queue, priority, scheduled_at, 0 FROM dibs_history
"""
CONFIGURE = """
INSERT INTO dibs_queues (name, declared, configured, updated_at) VALUES ({0}, {0}, {0}, {0})
ON CONFLICT (name) DO UPDATE SET declared = excluded.declared, configured = excluded.configured
"""


@operation(reads=True)
def jobs_load(ids: list[int]) -> Steps[list[Row]]:
    """Return the records of many jobs as they come from the database, by id."""
    rows = yield Statement("jobs_load", {"ids": ids}, alone=True)
    return sorted(row[:-2] for row in rows)  # without the policy and the time


class Engines:
    """A SQLite file and a PostgreSQL database that live through the same history."""

    def __init__(self, sqlite_url: str, postgres_url: str, clock: Callable[[], int]) -> None:
        urls = (sqlite_url, postgres_url)
        self._stores: list[Store] = [open_store(url, Role.WORKER, clock=clock) for url in urls]
        for store in self._stores:
            store.migrate()
        path = self._stores[0].url.target
        self._sqlite = sqlite3.connect(path, isolation_level=None, timeout=30)
        self._postgres = psycopg.connect(postgres_url, autocommit=True)

    def close(self) -> None:
        self._sqlite.close()
        self._postgres.close()
        for store in self._stores:
            store.close()

    def empty(self) -> None:
        """Make both databases as good as new."""
        tables = [row[0] for row in self._sqlite.execute(
            "SELECT name FROM sqlite_schema WHERE type = 'table' AND name LIKE 'dibs_%' "
            "AND name <> 'dibs_migrations'"
        )]  # fmt: skip
        for table in [*tables, "sqlite_sequence"]:
            self._sqlite.execute(f"DELETE FROM {table}")
        # Quicker than TRUNCATE, which makes new files.
        self._postgres.execute("".join(f"DELETE FROM {table};" for table in tables))
        self._restart_ids(0)

    def configure(
        self, queue: str, declared: QueuePolicy | None, configured: QueuePolicy | None, now: int
    ) -> None:
        """Write what was declared and configured for a queue."""
        policies = [policy and policy_to_json(policy) for policy in (declared, configured)]
        self._sqlite.execute(CONFIGURE.format("?"), (queue, *policies, now))
        self._postgres.execute(CONFIGURE.format("%s"), (queue, *policies, now))

    def run(self, operation: Operation[R]) -> R:
        """Carry `operation` out on both; they have to agree, in what they refuse too."""
        sqlite, postgres = self.outcomes(operation)
        if isinstance(sqlite, DibsError):
            assert (type(sqlite), str(sqlite)) == (type(postgres), str(postgres))
            raise sqlite
        assert sqlite == postgres
        return sqlite

    def outcomes(self, operation: Operation[R]) -> list[R | DibsError]:
        """Carry `operation` out on both; return the result or the refusal of each."""
        return [_outcome(store, operation) for store in self._stores]

    def rolled_back(self, operation: Operation[Any], last_id: int) -> None:
        """Carry `operation` out in a caller's transaction, and roll that back."""
        self._sqlite.execute("BEGIN")
        self._stores[0].borrow(self._sqlite).run(operation)
        self._sqlite.execute("ROLLBACK")
        with self._postgres.transaction(force_rollback=True):
            self._stores[1].borrow(self._postgres).run(operation)
        # A sequence keeps what was rolled back; give both the same next id again.
        self._restart_ids(last_id)

    def _restart_ids(self, last_id: int) -> None:
        self._postgres.execute(
            "SELECT setval(pg_get_serial_sequence('dibs_jobs', 'id'), %s, %s)",
            (max(last_id, 1), last_id > 0),
        )

    def rows(self, sql: str) -> list[tuple[Any, ...]]:
        """Return what both databases hold, past the store; they have to agree."""
        sqlite = self._sqlite.execute(sql).fetchall()
        postgres = self._postgres.execute(sql).fetchall()  # type: ignore[arg-type]
        assert sorted(sqlite, key=repr) == sorted(postgres, key=repr)
        return sqlite


def _outcome(store: Store, operation: Operation[R]) -> R | DibsError:
    try:
        return store.run(operation)
    except DibsError as error:
        return error
