"""On SQLite the cost of every statement is the same with a thousand jobs waiting or a million.

Cost is counted in instructions of SQLite's virtual machine, not in time.
"""

from __future__ import annotations

import re
import sqlite3
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest

from dibs.store import Role, open_store
from dibs.store.runner import drive
from dibs.store.sqlite_connection import execute
from dibs.store.sqlite_script import make_script
from dibs.store.statement import Operation, Row, Statement, Steps
from tests.plans import backlog
from tests.plans.backlog import LARGE, SMALL, Sizes, fill, statements

NOW = 1_767_225_600_000_000
SCRIPT = make_script(lambda: NOW)
LINES = backlog.LINES | {"queue_lines, marks": backlog.LINES["queue_lines"]}
"""Marks make no difference: what was claimed is not in the index."""
LABELS = (
    "job_enqueue", *LINES, "job_claim", "job_claim, lines", "job_claim, other kinds",
    "job_set_aside", "job_admit",
    "job_finish",
    "job_requeue", "job_bury", "job_promote", "job_due", "job_stale", "job_held", "job_called_off",
    "job_call_off", "job_attempts",
    "jobs_load", "job_cancel, ready", "job_cancel, scheduled", "job_cancel, blocked",
    "job_reprioritize, ready", "job_reprioritize, scheduled", "job_reprioritize, blocked",
    "job_reschedule, ready", "job_reschedule, scheduled", "job_reschedule, blocked",
    "key_take", "key_holders", "key_expire", "key_release", "key_assign",
    "job_replace", "jobs_ahead", "queue_moved", "workers_busy", "watch_probe",
    "watch_probe, nothing",
    "dead_page", "dead_find", "dead_notes", "dead_review", "dead_replay", "dead_holders",
    "dead_purge", "history_oldest", "history_beyond", "history_find", "history_drop", "dead_crowd",
    "counters_sum", "traces_find", "prune_over",
    "schedule_next", "schedule_due", "schedule_take", "tick_jobs", "tick_manual", "tick_prune",
)  # fmt: skip
SCANS = re.compile(r"^SCAN (?:TABLE )?(\S+)(?: AS (\S+))?")
FLAT = 1.5
WHOLE = {
    **dict.fromkeys(("job_held", "workers_busy"), ("r",)),
    "job_stale": ("r", "dibs_workers"),
    **dict.fromkeys(LINES, ("line", "h")),
    "jobs_ahead": ("ahead",),
    "traces_find": ("effect", "note", "t"),
    "history_oldest": ("line", "ended"),
    "counters_sum": ("old",),
    "dead_crowd": ("d",),
}
"""What may be read whole: all that runs, all workers, what the statement has already picked, and
dead letters in their order, as far as the statement's LIMIT lets it."""


class Database:
    """A SQLite file with a backlog, and the statements to look at."""

    def __init__(self, path: Path, sizes: Sizes) -> None:
        with open_store(f"sqlite:///{path}", Role.WORKER, clock=lambda: NOW) as store:
            store.migrate()
            self.connection = sqlite3.connect(path, isolation_level=None)
            self.connection.execute("PRAGMA synchronous = OFF")
            self.connection.execute("BEGIN")
            fill(self.connection.execute, sizes)
            self.connection.execute("COMMIT")
            self.statements = statements(store)

    def cost(self, label: str) -> int:
        """Execute a statement, undo it, and return how many instructions it took."""
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

    def plan(self, label: str) -> Iterator[tuple[int, str]]:
        """Yield the parent and the text of every line of a statement's query plans."""
        statement = self.statements[label]
        params = SCRIPT.encode(statement.params)
        for step in SCRIPT.catalog[statement.name]:
            values = {name: params.get(name, "[]") for name in step.params}
            for _, parent, _, text in self.connection.execute(
                f"EXPLAIN QUERY PLAN {step.sql}", values
            ):
                yield parent, text


def _alone(statement: Statement) -> Steps[list[Row]]:
    return (yield statement)


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("plans")


@pytest.fixture(scope="module")
def small(folder: Path) -> Iterator[Database]:
    database = Database(folder / "small.db", SMALL)
    with closing(database.connection):
        yield database


@pytest.fixture(scope="module")
def filled(folder: Path) -> Iterator[Database]:
    database = Database(folder / "large.db", LARGE)
    with closing(database.connection):
        yield database


@pytest.fixture(scope="module", params=["as it is", "analyzed"])
def large(filled: Database, request: pytest.FixtureRequest) -> Iterator[Database]:
    if request.param == "as it is":
        yield filled
        return
    filled.connection.execute("ANALYZE")
    yield filled
    filled.connection.execute("DELETE FROM sqlite_stat1")
    filled.connection.execute("ANALYZE sqlite_schema")  # has it forget them


def test_all_statements_are_looked_at(small: Database):
    assert set(small.statements) == set(LABELS)


@pytest.mark.parametrize("label", LABELS)
class TestEveryStatement:
    def test_costs_the_same_whatever_waits(self, small: Database, large: Database, label: str):
        least = small.cost(label)
        assert least > 0
        assert large.cost(label) <= FLAT * least

    def test_reads_no_table_whole(self, large: Database, label: str):
        for _, text in large.plan(label):
            if (scan := SCANS.match(text)) and "VIRTUAL TABLE" not in text:
                name = scan[2] or scan[1]
                assert name in {"CONSTANT", *WHOLE.get(label, ())}, text

    def test_sorts_only_what_it_picked(self, large: Database, label: str):
        # A sort inside a subquery would sort the line that its LIMIT cuts.
        assert not [text for parent, text in large.plan(label) if parent and "TEMP B-TREE" in text]


@pytest.mark.parametrize("label", LINES)
def test_lines_are_read_by_their_heads(large: Database, label: str):
    lines, heads = LINES[label]
    assert large.cost(label) <= 500 + 200 * lines + 20 * heads
    searches = {text.split()[1]: text for _, text in large.plan(label) if "SEARCH" in text}
    assert "dibs_ready_order (queue=? AND priority>? AND priority<?)" in searches["n"]
    assert "(rowid=?)" in searches["next"]
    assert "dibs_ready_order (queue=? AND priority=?)" in searches["r"]
