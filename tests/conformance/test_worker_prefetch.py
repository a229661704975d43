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
    began: list[int] = []

    @app.job
    async def fast(n: int) -> None:
        ran_in[n] = threading.get_ident()

    @app.job
    async def slow() -> None:
        began.append(threading.get_ident())
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
        eventually(lambda: len(began) == SLOW, "the slow jobs")
        eventually(
            lambda: app.stats().states[State.RUNNING] == SLOW,
            "the worker to hold no more than runs",
            within=10,
        )
        # All that come after the slow ones; and fast ones, if a crowded machine made those slow.
        behind = set(range(FAST + AFTER)) - set(ran_in)
        assert behind >= set(range(FAST, FAST + AFTER))
        assert app.stats().states[State.READY] == len(behind)
        with working(app, poll=poll):
            eventually(
                lambda: app.stats().states[State.COMPLETED] == FAST + AFTER, "the rest", within=10
            )
        release.set()
        eventually(lambda: app.stats().states[State.RUNNING] == 0, "the slow jobs")
    assert {where for n, where in ran_in.items() if n not in behind} == set(began)
    assert {ran_in[n] for n in behind}.isdisjoint(began)
    jobs = app.jobs.list(state="completed", limit=10_000)
    assert {(job.attempt, job.crashes) for job in jobs} == {(1, 0)}
