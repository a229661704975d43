"""The connection breaks right after a commit: it happened, and nobody told the worker."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from typing import Any

import pytest

from dibs import Dibs, State, StoreUnavailableError
from dibs.model.lines import Demand, Serving
from dibs.store.ops.claim import job_claim
from dibs.store.postgres import PostgresStore
from dibs.store.sqlite import SqliteStore
from dibs.worker import settle
from tests.conformance.working import work, working
from tests.support.database import misplaced, query
from tests.support.waiting import eventually

NewApp = Callable[..., Dibs]
JOBS = 60


class Faults:
    """Make operations of some names fail, a few times, before or after they are committed."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.happened: Counter[str] = Counter()
        self._planned: Counter[str] = Counter()
        self._after = True
        for store in (SqliteStore, PostgresStore):
            monkeypatch.setattr(store, "arun", self._wrapped(store.arun))

    def plan(self, name: str, times: int, *, after: bool) -> None:
        self._planned[name], self._after = times, after

    def _wrapped(self, arun: Callable[..., Any]) -> Callable[..., Any]:
        async def faulty(store: Any, operation: Any) -> Any:
            fault = self._planned[operation.name] > 0
            if not fault or self._after:
                result = await arun(store, operation)
            if not fault:
                return result
            self._planned[operation.name] -= 1
            self.happened[operation.name] += 1
            raise StoreUnavailableError("the connection broke")

        return faulty


@pytest.fixture
def faults(monkeypatch: pytest.MonkeyPatch) -> Faults:
    return Faults(monkeypatch)


@pytest.mark.parametrize("after", [True, False], ids=["after-commit", "before"])
@pytest.mark.parametrize("name", ["job_claim", "job_settle", "job_promote", "job_rescue"])
def test_every_job_still_runs_once(
    new_app: NewApp, database_url: str, faults: Faults, name: str, after: bool
):
    app = new_app(heartbeat=0.05, lease=60)  # rescue looks often, and never at this worker
    ran = []

    @app.job
    async def note(n: int) -> int:
        ran.append(n)
        return n

    now = [note.request(n) for n in range(JOBS)]
    soon = [note.using(delay=0.2).request(n) for n in range(JOBS, 2 * JOBS)]
    lost = [note.using(queue="lost").request(n) for n in range(2 * JOBS, 3 * JOBS)]
    lost_ids = app.enqueue_many(lost)
    lost = job_claim("of-the-dead", Serving(("lost",)), ["note"], Demand(JOBS))
    assert len(app.store.run(lost).jobs) == JOBS

    if name != "job_promote":  # a worker cannot start on a database that does not answer
        faults.plan(name, 2, after=after)
    with working(app, queues=["default", "lost"], concurrency=5):
        eventually(lambda: app.stats().workers, "the worker")
        if name == "job_promote":
            faults.plan(name, 2, after=after)
        ids = app.enqueue_many([*now, *soon]) + lost_ids
        eventually(lambda: app.stats().states[State.COMPLETED] == 3 * JOBS, "all jobs to end")
    assert faults.happened[name] >= 1  # the second may find nothing left to do
    assert Counter(ran) == Counter(range(3 * JOBS))
    for n, id_ in enumerate(ids):
        job = app.jobs.get(id_)
        assert (job.state, job.result, job.attempt) == (State.COMPLETED, n, 1)
        assert job.crashes == int(n >= 2 * JOBS)
    assert misplaced(database_url) == []


def test_an_end_that_cannot_be_stored_fails_just_its_job(new_app: NewApp, database_url: str):
    """The database refuses one settlement of a batch, whatever its reason: here a trigger."""
    app = new_app()

    @app.job(max_attempts=1)
    async def note(n: int) -> int:
        return n

    ids = app.enqueue_many(note.request(n) for n in range(20))
    refuse(database_url, "dibs_history", "id", ids[7])
    work(app)
    states = Counter(app.jobs.get(id_).state for id_ in ids)
    assert states == {State.COMPLETED: 19, State.DEAD: 1}
    assert "could not be stored" in (app.jobs.get(ids[7]).error or "")
    assert misplaced(database_url) == []


def test_an_end_that_can_be_stored_in_no_way_holds_up_no_other(
    new_app: NewApp, database_url: str, monkeypatch: pytest.MonkeyPatch
):
    """Neither that it completed nor that it failed: until somebody has mended the database."""
    monkeypatch.setattr(settle, "STUCK_SECONDS", 0.2)
    app = new_app()
    ran = []

    @app.job
    async def note(n: int) -> int:
        ran.append(n)
        return n

    ids = app.enqueue_many(note.request(n) for n in range(250))
    refuse(database_url, "dibs_history", "id", ids[7])
    refuse(database_url, "dibs_attempts", "job_id", ids[7])
    with working(app):
        eventually(lambda: app.stats().states[State.COMPLETED] == 249, "all others to end")
        assert app.jobs.get(ids[7]).state is State.RUNNING
        for table in ("dibs_history", "dibs_attempts"):
            on = "" if database_url.startswith("sqlite:") else f" ON {table}"
            query(database_url, f"DROP TRIGGER refuse_{table}{on}")
        eventually(lambda: app.jobs.get(ids[7]).state is State.COMPLETED, "its end")
    assert Counter(ran) == Counter(range(250))
    assert (app.jobs.get(ids[7]).attempt, app.jobs.get(ids[7]).crashes) == (1, 0)
    assert misplaced(database_url) == []


def refuse(url: str, table: str, column: str, job_id: int) -> None:
    head = f"TRIGGER refuse_{table} BEFORE INSERT ON {table}"
    if url.startswith("sqlite:"):
        query(
            url,
            f"CREATE {head} WHEN NEW.{column} = {job_id} BEGIN SELECT RAISE(ABORT, 'refused'); END",
        )
        return
    query(
        url,
        "CREATE OR REPLACE FUNCTION refuse() RETURNS trigger LANGUAGE plpgsql AS "
        "$$ BEGIN RAISE EXCEPTION 'refused'; END $$",
    )
    query(
        url,
        f"CREATE {head} FOR EACH ROW WHEN (NEW.{column} = {job_id}) EXECUTE FUNCTION refuse()",
    )
