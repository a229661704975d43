"""On PostgreSQL a claim that starts at a mark costs the same, however many were claimed before it.

Claimed rows stay in the index until a vacuum, and where another transaction still has an older
view of the database (a dump, a report) no vacuum takes them away.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack

import psycopg
import pytest

from dibs.model.lines import Demand, Serving
from dibs.model.marks import Mark, Marks
from dibs.store import Role, Store, open_store
from dibs.store.ops.claim import Found, job_claim
from dibs.store.postgres_driver import open_pool
from dibs.store.statement import Operation
from tests.plans.backlog import JOBS, PLACES, empty, taking
from tests.plans.ended import COUNT, first
from tests.plans.explain import Prepared, buffers

READY = 20_000
OFTEN = 80
"""Claims between two looks."""


class Worker:
    """A worker that claims one batch after the other, and what its next claim would touch."""

    def __init__(self, store: Store, prepared: Prepared, queue: str) -> None:
        self._store, self._prepared = store, prepared
        self._serving = Serving((queue,))
        self._marks = Marks()
        for name in ("queue_lines", "job_claim"):
            prepared.prepare(name)

    def claim(self, times: int) -> None:
        """Claim so often, before it is time to look at the front again."""
        for _ in range(times):
            found = self._store.run(self._next(self.marks))
            assert len(found.jobs) == COUNT
            self._marks.note(found.turns, dry=False)

    @property
    def marks(self) -> list[Mark]:
        """Where its next claim starts."""
        return self._marks.use(0)

    def touches(self, marks: list[Mark]) -> dict[str, int]:
        """Return how many pages the statements of the next claim touch."""
        claim = self._next(marks)
        statements = (first(claim), taking(self._store, claim))
        return {each.name: buffers(self._prepared.explain(each)) for each in statements}

    def _next(self, marks: list[Mark]) -> Operation[Found]:
        return job_claim("w", self._serving, ["crop"], Demand(COUNT), marks=marks)


@pytest.fixture(params=[False, True], ids=["nobody else looks", "somebody has an older view"])
def viewed(request: pytest.FixtureRequest) -> bool:
    return request.param


@pytest.fixture(
    params=[("web", 1), ("web", 4), ("aged", 4)],
    ids=["one line", "one line after the other", "from each line in turn"],
)
def worker(postgres_url: str, request: pytest.FixtureRequest, viewed: bool) -> Iterator[Worker]:
    with ExitStack() as stack:
        store = stack.enter_context(open_store(postgres_url, Role.WORKER))
        store.migrate()
        admin = stack.enter_context(psycopg.connect(postgres_url, autocommit=True))
        empty(admin)  # and no autovacuum from now on
        queue, lines = request.param
        jobs = {"kind": "crop", "queue": queue, "priority": f"i % {lines}"}
        admin.execute(JOBS.format(**jobs, at=0, count=READY))
        for place in PLACES:
            admin.execute(place)
        if viewed:
            reader = stack.enter_context(psycopg.connect(postgres_url))
            reader.isolation_level = psycopg.IsolationLevel.REPEATABLE_READ
            reader.execute("SELECT 1 FROM dibs_workers")
        pool = open_pool(postgres_url, Role.WORKER)
        stack.callback(pool.close)
        yield Worker(store, Prepared(stack.enter_context(pool.connection())), queue)


def test_what_was_claimed_is_not_read_again(worker: Worker):
    worker.claim(5)
    before = worker.touches(worker.marks)
    worker.claim(OFTEN)
    after = worker.touches(worker.marks)

    assert after["queue_lines"] <= min(before["queue_lines"] + 5, 50)
    assert after["job_claim"] <= before["job_claim"] + 20, "an index may have become deeper"
    # Without marks it reads all that was claimed.
    assert worker.touches([])["queue_lines"] >= 3 * after["queue_lines"]
