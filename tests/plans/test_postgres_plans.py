"""On PostgreSQL every statement reads the rows it moves, whatever else is waiting.

A worker's statements are looked at on a worker's connection: with plans chosen for these
parameters, chosen for any, and, the trap, chosen while the tables were empty and kept when they
had filled. A producer's are planned anew where they read.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack, suppress
from typing import Any

import psycopg
import pytest

from dibs.store import Role, Store, open_store
from dibs.store.postgres_driver import open_pool
from tests.plans import backlog
from tests.plans.backlog import COUNT, LARGE, PROMOTED, RUNNING, empty, fill, statements
from tests.plans.explain import Prepared, buffers, compared, scans

TRAP, GENERIC, CUSTOM = MODES = (
    "chosen while empty", "chosen for any parameters", "chosen for these parameters"
)  # fmt: skip
LINES = backlog.LINES | {"queue_lines, marks": (1, 2 * COUNT)}
"""The marked lines need not be looked for."""
CLAIMS = {"job_claim": 1, "job_claim, lines": 2, "job_claim, other kinds": 1}
"""From how many lines jobs are taken."""
WORKERS = (
    "job_enqueue", *LINES, *CLAIMS, "job_set_aside", "job_admit", "job_finish",
    "job_requeue", "job_bury", "job_promote", "job_due", "job_stale", "job_held", "job_called_off",
    "job_attempts",
    "dead_find", "dead_purge", "history_oldest", "history_beyond", "history_find", "history_drop",
    "dead_crowd", "counters_sum", "traces_find", "prune_over",
    "schedule_next", "schedule_due", "schedule_take", "tick_jobs", "tick_manual", "tick_prune",
)  # fmt: skip
PRODUCERS = (
    "job_enqueue", "jobs_load", "job_cancel, ready", "job_cancel, scheduled", "job_cancel, blocked",
    "job_reprioritize, ready", "job_reprioritize, scheduled", "job_reprioritize, blocked",
    "job_reschedule, ready", "job_reschedule, scheduled", "job_reschedule, blocked",
    "job_call_off", "jobs_ahead", "workers_busy",
    "key_take", "key_holders", "key_expire", "key_release", "key_assign", "job_replace",
    "dead_page", "dead_find", "dead_notes", "dead_review", "dead_replay", "dead_holders",
    "dead_purge",
)  # fmt: skip
CASES = [
    *((Role.WORKER, mode, label) for mode in MODES for label in WORKERS),
    *((Role.PRODUCER, mode, label) for mode in (GENERIC, CUSTOM) for label in PRODUCERS),
]
OF_RUNNING = ("job_stale", "job_held", "workers_busy")
"""Statements that look at every job that runs."""
SMALL = {"dibs_running", "dibs_workers", "dibs_queues", "dibs_pauses"}
"""Tables that are bounded by the queues and by what the workers can run, not by the backlog."""

Plans = dict[tuple[Role, str, str], dict[str, Any]]


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
            if label in LINES:
                most = max(LINES[label])
            if scan.table in SMALL or label in OF_RUNNING:
                most = RUNNING
            assert scan.rows <= most + 1, scan  # per loop it is an average, rounded

    def test_joins_by_no_loop_over_all_pairs(self, plans: Plans, role: Role, mode: str, label: str):
        assert compared(plans[role, mode, label]) <= 2 * COUNT

    def test_touches_few_pages_for_each(self, plans: Plans, role: Role, mode: str, label: str):
        # A job that is replaced leaves its place, and enters one anew; one that is set aside is
        # looked up first.
        many = {"job_promote": PROMOTED, "job_replace": 2 * COUNT, "job_set_aside": 2 * COUNT}
        many |= dict.fromkeys(OF_RUNNING, RUNNING)
        one = ("job_cancel", "job_reprioritize", "job_reschedule", "job_due", "job_attempts")
        rows = 1 if label.startswith(one) else many.get(label, COUNT)
        most = 50 + 15 * rows
        if label in LINES:  # to find a line costs more than to read its heads
            lines, heads = LINES[label]
            most = 50 + 10 * lines + heads / 4
        assert buffers(plans[role, mode, label]) <= most


@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize("label", LINES)
def test_lines_are_read_by_their_heads(plans: Plans, mode: str, label: str):
    found = scans(plans[Role.WORKER, mode, label])
    read = {scan.alias: round(scan.rows) for scan in found if scan.table == "dibs_ready"}
    assert (read["n"], read["r"]) == LINES[label]


@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize("label", CLAIMS)
def test_a_claim_takes_so_many_from_each_line(plans: Plans, mode: str, label: str):
    found = scans(plans[Role.WORKER, mode, label])
    ready = [scan for scan in found if scan.table == "dibs_ready"]
    by_order = [scan for scan in ready if scan.how == "Index Scan"]
    assert [(scan.loops, round(scan.rows)) for scan in by_order] == [(CLAIMS[label], COUNT)]
    assert [scan.rows for scan in ready if scan.how == "Tid Scan"] == [COUNT]
