"""Who waits under a limit is told when there is room: nobody needs to look again to be safe."""

from __future__ import annotations

import random
import threading
from collections.abc import Callable
from contextlib import suppress
from functools import partial

import psycopg
import pytest

from dibs import Backoff, Dibs, JobContext, JobStateError, Limit, Priority, Retry, State
from dibs.store.ops.limit_turns import limit_look
from dibs.store.statement import Operation
from dibs.worker import turns
from tests.conformance.working import working
from tests.support.crowd import work_off
from tests.support.database import query
from tests.support.waiting import WITHIN, eventually

NewApp = Callable[..., Dibs]
NEVER = 10**15
"""Microseconds: no look comes in time that is only there to be safe."""


@pytest.fixture(autouse=True)
def no_safety_net(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("dibs.model.limits.RECHECK", NEVER)


@pytest.fixture
def only_when_told(monkeypatch: pytest.MonkeyPatch) -> None:
    """Have workers look at nothing without being told."""
    for pause in ("worker.turns.LOOK", "worker.turns.TEND", "store.postgres_nudge.PROBE"):
        monkeypatch.setattr(f"dibs.{pause}_SECONDS", 3600)


@pytest.mark.timeout(300)
@pytest.mark.parametrize("jobs", [60, pytest.param(4000, marks=[pytest.mark.chaos])])
def test_one_slot_is_handed_on_from_job_to_job(new_app: NewApp, database_url: str, jobs: int):
    app = new_app()

    @app.job(limits=[Limit(concurrency=1)], retry=Retry(3, Backoff.exponential(base=0)))
    async def one(ctx: JobContext, number: int) -> None:
        if number % 7 == 0 and ctx.attempt == 1:
            raise ValueError("again")

    app.enqueue_many(one.request(number) for number in range(jobs))
    work_off(app, database_url, 4, within=280, concurrency=5)
    assert query(database_url, "SELECT COUNT(*) FROM dibs_history") == [(jobs,)]


@pytest.mark.timeout(300)
@pytest.mark.parametrize("jobs", [60, pytest.param(4000, marks=[pytest.mark.chaos])])
def test_a_turn_that_a_job_cannot_take_is_the_next_ones(
    new_app: NewApp, database_url: str, jobs: int
):
    app = new_app()
    kinds = []
    for number in range(3):
        limits = [
            Limit(name="customer", concurrency=1, key="{customer}"),
            Limit(name=f"kind {number}", concurrency=1),
            Limit(name="all", concurrency=2),
        ]

        @app.job(kind=f"kind {number}", limits=limits, queue=f"queue {number}")
        async def work(customer: int) -> None: ...

        kinds.append(work)
    chance = random.Random(jobs)
    app.queues.configure("queue 2", concurrency=1)
    app.enqueue_many(
        chance.choice(kinds).using(priority=chance.randrange(3)).request(chance.randrange(6))
        for _ in range(jobs)
    )
    queues = [f"queue {number}" for number in range(3)]
    work_off(app, database_url, 4, within=280, concurrency=5, queues=queues)
    assert query(database_url, "SELECT COUNT(*) FROM dibs_history") == [(jobs,)]


def test_a_worker_is_not_idle_while_another_takes_up_what_came_in(
    postgres_url: str, monkeypatch: pytest.MonkeyPatch
):
    """On a file the one writer is waited for, and what he did is seen."""
    looks = 0

    def counted() -> Operation[tuple[bool, int | None]]:
        nonlocal looks
        looks += 1
        return limit_look()

    monkeypatch.setattr(turns, "limit_look", counted)
    app = Dibs(postgres_url)
    app.migrate()

    @app.job(limits=[Limit(concurrency=1)])
    async def one() -> None: ...

    job = one.enqueue()
    worker = threading.Thread(target=app.worker(poll=0.01).run, kwargs={"until_idle": True})
    with psycopg.connect(postgres_url) as other:
        other.execute("SELECT id FROM dibs_arrivals FOR UPDATE")
        worker.start()
        eventually(lambda: looks > 5 or not worker.is_alive(), "the worker to look, or to end")
    worker.join(WITHIN)
    assert app.jobs.get(job.id).state is State.COMPLETED
    app.close()


def test_a_job_that_is_cancelled_before_it_starts_leaves_its_turn_to_the_next(
    new_app: NewApp, database_url: str
):
    app = new_app()

    @app.job(limits=[Limit(concurrency=1)])
    async def one(number: int) -> None: ...

    ids = app.enqueue_many(one.request(number) for number in range(20))

    def cancel() -> None:
        for (job_id,) in query(database_url, "SELECT job_id FROM dibs_ready"):
            with suppress(JobStateError):  # it may have started meanwhile
                app.jobs.cancel(job_id)

    work_off(app, database_url, meanwhile=cancel)
    assert query(database_url, "SELECT COUNT(*) FROM dibs_history") == [(len(ids),)]


def test_a_job_of_an_unknown_kind_leaves_its_turn_to_the_next(new_app: NewApp, database_url: str):
    app, other = new_app(), new_app()
    limits = [Limit(name="all", concurrency=1)]

    @other.job(limits=limits)
    async def unknown(number: int) -> None: ...

    @app.job(limits=limits)
    async def known(number: int) -> None: ...

    other.enqueue_many(unknown.request(number) for number in range(5))
    app.enqueue_many(known.request(number) for number in range(5))
    app.worker().run(until_idle=True)
    assert query(database_url, "SELECT kind FROM dibs_history") == [("known",)] * 5
    work_off(other, database_url, 1)


@pytest.mark.usefixtures("only_when_told")
@pytest.mark.parametrize("what", ["limited", "fair"])
def test_an_idle_worker_is_told_of_what_waits_for_its_turn(new_app: NewApp, what: str):
    app = new_app()
    if what == "fair":
        app.queues.declare("default", fair_by="tenant")

    busy, release = threading.Event(), threading.Event()
    ran: list[int] = []

    @app.job(executor="thread")
    def hold(tenant: int) -> None:
        busy.set()
        release.wait(2 * WITHIN)

    @app.job(limits=[Limit(concurrency=1)] if what == "limited" else [])
    async def work(tenant: int) -> None:
        ran.append(tenant)

    # The first has no room, and takes up half of what comes in.
    with working(app, poll=3600, concurrency=1):
        hold.enqueue(1000)
        eventually(busy.is_set, "the busy one")
        with working(app, poll=3600):
            try:
                for tenant in range(10):
                    work.enqueue(tenant)
                    eventually(partial(ran.__contains__, tenant), "its start")
            finally:
                release.set()


@pytest.mark.usefixtures("only_when_told")
def test_who_has_no_room_for_what_it_made_ready_tells_the_others(new_app: NewApp):
    app = new_app()
    release = {name: threading.Event() for name in ("first", "urgent", "other", "last")}
    release["other"].set()
    release["last"].set()
    ran: list[str] = []

    @app.job(executor="thread")
    def hold(name: str) -> None:
        ran.append(name)
        release[name].wait(2 * WITHIN)

    @app.job(executor="thread", limits=[Limit(concurrency=1)])
    def narrow(name: str) -> None:
        hold(name)

    narrow.enqueue("first")
    with working(app, concurrency=1, poll=3600):
        eventually(lambda: ran == ["first"], "the one that holds the slot")
        last = narrow.enqueue("last").id
        hold.using(priority=Priority.CRITICAL).enqueue("urgent")
        # One that is idle.
        with working(app, concurrency=1, poll=3600, priorities=(0, Priority.HIGH)):
            done = hold.enqueue("other").id
            eventually(lambda: app.jobs.get(done).state is State.COMPLETED, "it at rest")
            release["first"].set()
            try:
                eventually(lambda: app.jobs.get(last).state is State.COMPLETED, "the next one")
            finally:
                release["urgent"].set()
            eventually(lambda: "urgent" in ran, "the urgent one")
