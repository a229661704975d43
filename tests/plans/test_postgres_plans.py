"""On PostgreSQL every statement reads the rows it moves, whatever else is waiting.

A worker's statements are looked at on a worker's connection: with plans chosen for these
parameters, chosen for any, and, the trap, chosen while the tables were empty and kept when they
had filled. A producer's are planned anew where they read.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from contextlib import ExitStack, suppress
from typing import Any, NamedTuple

import psycopg
import pytest

from dibs.store import Role, Store, open_store
from dibs.store.postgres_driver import open_pool
from dibs.store.postgres_script import make_script
from dibs.store.statement import Statement
from tests.plans.backlog import COUNT, LARGE, PROMOTED, RUNNING, empty, fill, statements

SCRIPT = make_script(None)
TRAP, GENERIC, CUSTOM = MODES = (
    "chosen while empty", "chosen for any parameters", "chosen for these parameters"
)  # fmt: skip
WORKERS = (
    "job_enqueue", "job_claim", "job_claim, other kinds", "job_admit", "job_finish",
    "job_requeue", "job_bury", "job_promote", "job_due", "job_stale", "job_held", "job_attempts",
)  # fmt: skip
PRODUCERS = (
    "job_enqueue", "jobs_load", "job_cancel, ready", "job_cancel, scheduled", "job_cancel, blocked",
    "job_reprioritize, ready", "job_reprioritize, scheduled", "job_reprioritize, blocked",
    "jobs_ahead", "workers_busy",
)  # fmt: skip
CASES = [
    *((Role.WORKER, mode, label) for mode in MODES for label in WORKERS),
    *((Role.PRODUCER, mode, label) for mode in (GENERIC, CUSTOM) for label in PRODUCERS),
]
SMALL = {"dibs_running", "dibs_workers"}
"""Tables that are bounded by what the workers can run, not by the backlog."""

Plans = dict[tuple[Role, str, str], dict[str, Any]]


class Scan(NamedTuple):
    """One node of a plan that reads a table, and what it did in all its loops."""

    how: str
    table: str
    rows: float
    loops: float


class Prepared:
    """A worker's connection with the catalogue's statements prepared under their names."""

    def __init__(self, connection: psycopg.Connection[Any]) -> None:
        self._connection = connection
        self._order: dict[str, list[str]] = {}
        connection.execute("SET statement_timeout = '10s'")  # only ends a failure

    def prepare(self, name: str) -> None:
        [step] = SCRIPT.catalog[name]
        order = self._order[name] = sorted(step.params)
        sql = re.sub(r"%\((\w+)\)s", lambda hit: f"${order.index(hit[1]) + 1}", step.sql)
        self._connection.execute(f"PREPARE {name} AS {sql}")  # type: ignore[arg-type]

    def plan_for(self, parameters: str) -> None:
        self._connection.execute(f"SET plan_cache_mode = force_{parameters}_plan")  # type: ignore[arg-type]

    def explain(self, statement: Statement) -> dict[str, Any]:
        """Execute `statement`, undo it, and return its plan with what happened in each node."""
        params = SCRIPT.encode(statement.params)
        values = [params[name] for name in self._order[statement.name]]
        call = f"EXECUTE {statement.name}"
        call += f"({', '.join(['%s'] * len(values))})" if values else ""
        with self._connection.transaction(force_rollback=True):
            cursor = psycopg.ClientCursor(self._connection)
            explain = f"EXPLAIN (ANALYZE, BUFFERS, FORMAT JSON) {call}"
            cursor.execute(explain, values)  # type: ignore[arg-type]
            [[text]] = cursor.fetchall()
        return json.loads(text)[0]["Plan"]


def nodes(plan: dict[str, Any]) -> Iterator[dict[str, Any]]:
    yield plan
    for child in plan.get("Plans", []):
        yield from nodes(child)


def scans(plan: dict[str, Any]) -> list[Scan]:
    found = []
    for node in nodes(plan):
        if node["Node Type"].endswith("Scan") and "Relation Name" in node:
            loops = node["Actual Loops"]
            read = node["Actual Rows"] + sum(
                node.get(f"Rows Removed by {why}", 0) for why in ("Filter", "Index Recheck")
            )
            found.append(Scan(node["Node Type"], node["Relation Name"], read * loops, loops))
    return found


def buffers(plan: dict[str, Any]) -> int:
    # A node that changes rows counts for itself, beside the root.
    return max(node["Shared Hit Blocks"] + node["Shared Read Blocks"] for node in nodes(plan))


@pytest.fixture(scope="module")
def plans(empty_postgres_url: str) -> Iterator[Plans]:
    """The plans of all cases, in a database with the large backlog."""
    url = empty_postgres_url
    with ExitStack() as stack:
        store = stack.enter_context(open_store(url, Role.WORKER))
        store.migrate()
        admin = stack.enter_context(psycopg.connect(url, autocommit=True))
        connections = {}
        for role in Role:
            pool = open_pool(url, role)
            stack.callback(pool.close)
            connections[role] = Prepared(stack.enter_context(pool.connection()))
        yield dict(_explained(store, admin, connections))


def _explained(
    store: Store, admin: psycopg.Connection, connections: dict[Role, Prepared]
) -> Iterator[tuple[tuple[Role, str, str], dict[str, Any]]]:
    known = statements(store)
    before = [known[label] for label in {*WORKERS, *PRODUCERS}]
    empty(admin)
    for connection in connections.values():
        connection.plan_for("generic")
        for name in {statement.name for statement in before}:
            connection.prepare(name)
        for statement in before:
            connection.explain(statement)

    fill(admin.execute, LARGE)
    filled = statements(store)
    for mode in MODES:
        if mode is GENERIC:
            admin.execute("ANALYZE")  # has every table planned for again
        for role, connection in connections.items():
            connection.plan_for("custom" if mode is CUSTOM else "generic")
            for label in (label for *case, label in CASES if case == [role, mode]):
                with suppress(psycopg.errors.QueryCanceled):
                    yield (role, mode, label), connection.explain(filled[label])


def test_every_statement_comes_to_its_end(plans: Plans):
    assert set(CASES) - set(plans) == set()


@pytest.mark.parametrize(("role", "mode", "label"), CASES)
class TestEveryStatement:
    def test_reads_the_rows_it_takes(self, plans: Plans, role: Role, mode: str, label: str):
        for scan in scans(plans[role, mode, label]):
            assert scan.how != "Seq Scan" or scan.table in SMALL, scan
            most = PROMOTED if label == "job_promote" else COUNT
            if scan.table == "dibs_ready" and label.startswith("job_claim"):
                most = 3 * COUNT  # of each queue the head
            if scan.table in SMALL or label in {"job_stale", "job_held"}:
                most = RUNNING
            assert scan.rows <= most + 1, scan  # per loop it is an average, rounded

    def test_touches_few_pages_for_each(self, plans: Plans, role: Role, mode: str, label: str):
        many = {"job_promote": PROMOTED, "job_stale": RUNNING, "job_held": RUNNING}
        one = ("job_cancel", "job_reprioritize", "job_due", "job_attempts")
        rows = 1 if label.startswith(one) else many.get(label, COUNT)
        assert buffers(plans[role, mode, label]) <= 50 + 15 * rows


@pytest.mark.parametrize("mode", MODES)
def test_a_claim_takes_the_head_of_each_queue(plans: Plans, mode: str):
    ready = [s for s in scans(plans[Role.WORKER, mode, "job_claim"]) if s.table == "dibs_ready"]
    heads = [scan for scan in ready if scan.how == "Index Scan"]
    assert [scan.loops for scan in heads] == [3]
    assert 2 * COUNT - 1 <= heads[0].rows <= 2 * COUNT + 1, "two of the three queues have jobs"
    assert [scan.rows for scan in ready if scan.how == "Tid Scan"] == [COUNT]
