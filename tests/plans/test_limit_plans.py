"""What limits cost does not depend on how many jobs wait under them."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from contextlib import ExitStack, closing
from pathlib import Path
from typing import Any

import psycopg
import pytest

from dibs.store import Role, open_store
from dibs.store.postgres_driver import open_pool
from dibs.store.runner import drive
from dibs.store.sqlite_connection import execute
from dibs.store.sqlite_script import make_script
from dibs.store.statement import Operation, Row, Statement, Steps
from tests.plans.backlog import empty
from tests.plans.explain import Prepared, buffers, compared, scans
from tests.plans.limited import COUNT, fill, prepare

SMALL, LARGE = 1000, 50_000
"""Jobs under one key, and as many under many keys, and as many keys."""
LABELS = (
    "limit_lock", "limit_state", "limit_start", "limit_block", "limit_save", "limit_admit",
    "limit_lines", "limit_admit_line",
    "limit_due", "limit_look", "slots_lock", "slots_free", "slots_leave",
    "arrivals_take", "queue_lines, room", "job_claim, counted",
)  # fmt: skip
FLAT = 1.5
NOW = 1_767_225_600_000_000
SCRIPT = make_script(lambda: NOW)


class Database:
    """A SQLite file in which `count` jobs wait; costs are instructions of its virtual machine."""

    def __init__(self, path: Path, count: int) -> None:
        with open_store(f"sqlite:///{path}", Role.WORKER, clock=lambda: NOW) as store:
            store.migrate()
            self.connection = sqlite3.connect(path, isolation_level=None)
            self.connection.execute("PRAGMA synchronous = OFF")
            self.statements = prepare(store)
            self.connection.execute("BEGIN")
            fill(self.connection.execute, count)
            self.connection.execute("COMMIT")

    def cost(self, label: str) -> int:
        count = 0

        def tick() -> None:
            nonlocal count
            count += 1

        calls = SCRIPT.calls(Operation(label, lambda: _alone(self.statements[label])))
        self.connection.execute("BEGIN IMMEDIATE")
        self.connection.set_progress_handler(tick, 1)
        try:
            drive(calls, next(calls), lambda call: execute(self.connection, call))
        finally:
            self.connection.set_progress_handler(None, 0)
            self.connection.execute("ROLLBACK")
        return count


def _alone(statement: Statement) -> Steps[list[Row]]:
    return (yield statement)


@pytest.fixture(scope="module")
def files(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Database, Database]]:
    folder = tmp_path_factory.mktemp("limits")
    small, large = Database(folder / "small.db", SMALL), Database(folder / "large.db", LARGE)
    with closing(small.connection), closing(large.connection):
        yield small, large


@pytest.mark.parametrize("label", LABELS)
def test_on_sqlite_costs_the_same_whatever_waits(files: tuple[Database, Database], label: str):
    small, large = files
    assert set(small.statements) == set(LABELS)
    least = small.cost(label)
    assert 0 < large.cost(label) <= FLAT * least


@pytest.fixture(scope="module")
def plans(empty_postgres_url: str) -> Iterator[dict[str, dict[str, Any]]]:
    """The plans as workers have them: made while the tables were empty, and kept."""
    url = empty_postgres_url
    with ExitStack() as stack:
        store = stack.enter_context(open_store(url, Role.WORKER))
        store.migrate()
        admin = stack.enter_context(psycopg.connect(url, autocommit=True))
        pool = open_pool(url, Role.WORKER)
        stack.callback(pool.close)
        worker = Prepared(stack.enter_context(pool.connection()))
        before = prepare(store)
        empty(admin)
        worker.plan_for("generic")
        for name in {statement.name for statement in before.values()}:
            worker.prepare(name)
        for statement in before.values():
            worker.explain(statement)
        statements = prepare(store)
        fill(admin.execute, LARGE)  # type: ignore[arg-type]
        yield {label: worker.explain(statement) for label, statement in statements.items()}


FEW = {"dibs_queues", "dibs_limits", "dibs_slots", "dibs_arrivals", "dibs_running"}
"""Tables that are bounded by what runs and by what has just come in."""


@pytest.mark.parametrize("label", LABELS)
def test_on_postgres_reads_the_rows_it_takes(plans: dict[str, dict[str, Any]], label: str):
    most = 2 * COUNT + 1  # of one key so many, and as many keys with one each
    for scan in scans(plans[label]):
        assert scan.how != "Seq Scan" or scan.table in FEW, scan
        assert scan.rows <= most + 1, scan
    assert compared(plans[label]) <= most
    assert buffers(plans[label]) <= 50 + 30 * most
