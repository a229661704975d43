"""What a worker holds beyond what runs: given back when slow jobs take its slots."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable

import pytest

from dibs import Dibs, State
from tests.conformance.working import working
from tests.support.waiting import WITHIN, eventually

NewApp = Callable[..., Dibs]
FAST, SLOW, AFTER = 3_000, 4, 300


@pytest.mark.parametrize("poll", [0.25, 30])
def test_jobs_behind_slow_ones_run_elsewhere(new_app: NewApp, poll: float):
    app = new_app()
    release = threading.Event()
    ran_in: dict[int, int] = {}

    @app.job
    async def fast(n: int) -> None:
        ran_in[n] = threading.get_ident()

    @app.job
    async def slow() -> None:
        await asyncio.to_thread(release.wait, WITHIN)

    app.enqueue_many(
        [
            *(fast.using(priority=20).request(n) for n in range(FAST)),
            *(slow.using(priority=10).request() for _ in range(SLOW)),
            *(fast.request(n) for n in range(FAST, FAST + AFTER)),
        ]
    )
    with working(app, concurrency=SLOW, poll=poll):
        # The rate of the fast jobs let it claim ahead; now the slow ones have all its slots.
        eventually(lambda: app.stats().states[State.COMPLETED] == FAST, "the fast jobs")
        eventually(
            lambda: app.stats().states[State.RUNNING] == SLOW,
            "the worker to hold no more than runs",
            within=10,
        )
        assert app.stats().states[State.READY] == AFTER
        with working(app, poll=poll):
            eventually(
                lambda: app.stats().states[State.COMPLETED] == FAST + AFTER, "the rest", within=10
            )
        release.set()
        eventually(lambda: app.stats().states[State.RUNNING] == 0, "the slow jobs")
    assert len({ran_in[n] for n in range(FAST)}) == 1
    assert {ran_in[n] for n in range(FAST)}.isdisjoint(ran_in[n] for n in range(FAST, FAST + AFTER))
    jobs = app.jobs.list(state="completed", limit=10_000)
    assert {(job.attempt, job.crashes) for job in jobs} == {(1, 0)}
