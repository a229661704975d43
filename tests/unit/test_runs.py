"""Ending held jobs from outside: whether they began, what they are told, what becomes of them."""

from __future__ import annotations

import asyncio
import threading
import time
from collections.abc import Callable, Coroutine
from typing import Any

import pytest

from dibs import Dibs, JobContext
from dibs.model.lifecycle import CalledOff, Failed, Interrupted, Outcome, Returned, Snoozed
from dibs.model.slots import Slots
from dibs.model.timeouts import timed_out
from dibs.store.ops.claimed import Claimed, key_of
from dibs.worker.dispatch import Dispatcher
from dibs.worker.runs import Run

OFF = CalledOff("sold out")
BOOM = Failed("ValueError", "boom", "where it was")


class Bench:
    """A dispatcher with one slot; its settler keeps what became of each job."""

    def __init__(self) -> None:
        app = Dibs("sqlite:///never-opened.db")
        self.outcomes: dict[int, Outcome] = {}
        self.started: list[int] = []
        self.told: list[str | None] = []
        self.go = threading.Event()

        @app.job
        async def wait(ctx: JobContext) -> None:
            self.started.append(ctx.job_id)
            try:
                await asyncio.Event().wait()
            finally:
                self.told.append(ctx.cancel_reason)

        @app.job
        def block(ctx: JobContext) -> str:
            self.started.append(ctx.job_id)
            self.go.wait(20)
            self.told.append(ctx.cancel_reason)
            return "done"

        self.dispatcher = Dispatcher(app.handlers, Slots(1, {}), 3, self)  # type: ignore[arg-type]

    def add(self, job: Claimed, outcome: Outcome) -> None:
        """Be the settler."""
        self.outcomes[job.id] = outcome

    async def emptied(self) -> None:
        return

    def claim(self, *ids: int, kind: str = "wait", **said: Any) -> list[Claimed]:
        row = (kind, "mail", 0, "{}", 1, 1, 5, 0, 0, 0, 0, None, None, None, 0, "w")
        jobs = [Claimed(id_, *row)._replace(**said) for id_ in ids]  # type: ignore[arg-type]
        self.dispatcher.add(jobs)
        return jobs

    async def until(self, probe: Callable[[], object]) -> None:
        deadline = time.monotonic() + 20
        while not probe():
            assert time.monotonic() < deadline
            await asyncio.sleep(0.001)


def on_loop(test: Callable[[Bench], Coroutine[Any, Any, None]]) -> Callable[[], None]:
    async def run() -> None:
        bench = Bench()
        await test(bench)
        bench.go.set()
        bench.dispatcher.close()
        await bench.dispatcher.interrupt()

    return lambda: asyncio.run(run())


@on_loop
async def test_only_what_ran_is_interrupted_as_begun(bench: Bench):
    bench.claim(1, 2)
    await bench.until(lambda: bench.started == [1])
    bench.dispatcher.close()
    assert bench.outcomes == {2: Interrupted(began=False)}
    assert await bench.dispatcher.interrupt() == 1
    assert bench.outcomes[1] == Interrupted(began=True)
    assert bench.told == ["its worker stops"]


@on_loop
async def test_a_task_that_took_no_step_has_not_begun(bench: Bench):
    bench.claim(1)
    await bench.dispatcher.interrupt()
    assert (bench.outcomes, bench.started) == ({1: Interrupted(began=False)}, [])


@on_loop
async def test_a_thread_that_runs_has_begun(bench: Bench):
    bench.claim(1, kind="block")
    await bench.until(lambda: bench.started)
    await bench.dispatcher.interrupt()
    assert bench.outcomes == {1: Interrupted(began=True)}
    bench.go.set()
    await bench.until(lambda: bench.told == ["its worker stops"])


@on_loop
async def test_a_claim_that_has_not_started_never_does(bench: Bench):
    _, waiting, last = bench.claim(1, 2, 3)
    await bench.until(lambda: bench.started == [1])
    bench.dispatcher.call_off(key_of(waiting), "sold out")
    assert bench.outcomes == {2: OFF}
    bench.dispatcher.call_off((1, 1), None)
    await bench.until(lambda: bench.started == [1, 3])
    assert bench.outcomes == {2: OFF, 1: CalledOff(None)}
    assert last.id == 3


@on_loop
async def test_a_task_that_took_no_step_is_called_off_at_once(bench: Bench):
    [job] = bench.claim(1)
    bench.dispatcher.call_off(key_of(job), "sold out")
    assert (bench.outcomes, bench.started) == ({1: OFF}, [])
    assert bench.dispatcher.idle


@on_loop
async def test_a_last_chance_that_waits_to_be_alone_is_called_off(bench: Bench):
    [job] = bench.claim(1, kind="block", crashes=2)
    bench.dispatcher.call_off(key_of(job), "sold out")
    assert (bench.outcomes, bench.dispatcher.idle) == ({1: OFF}, True)
    bench.claim(2)
    await bench.until(lambda: bench.started == [2])


def test_a_thread_that_cannot_be_had_fails_the_attempt_and_frees_the_slot(
    monkeypatch: pytest.MonkeyPatch,
):
    @on_loop
    async def test(bench: Bench) -> None:
        with monkeypatch.context() as patch:
            patch.setattr(threading.Thread, "start", none_left)
            bench.claim(1, 2, kind="block")
            await bench.until(lambda: len(bench.outcomes) == 2)
        for outcome in bench.outcomes.values():
            assert isinstance(outcome, Failed)
            assert outcome.message == "can't start new thread"
        assert bench.dispatcher.idle
        bench.claim(3, kind="block")
        await bench.until(lambda: bench.started == [3])

    def none_left(_: threading.Thread) -> None:
        raise RuntimeError("can't start new thread")

    test()


@on_loop
async def test_what_is_not_held_is_nothing_to_call_off(bench: Bench):
    bench.dispatcher.call_off((1, 1), None)
    assert bench.outcomes == {}


@on_loop
async def test_told_again_and_again_it_is_cancelled_once(bench: Bench):
    [job] = bench.claim(1)
    await bench.until(lambda: bench.started)
    for reason in ("first", "second"):
        bench.dispatcher.call_off(key_of(job), reason)
    await bench.until(lambda: bench.outcomes)
    assert (bench.outcomes, bench.told) == ({1: CalledOff("first")}, ["it was cancelled: first"])


@on_loop
async def test_leaks_are_told_and_forgotten(bench: Bench):
    leaks: list[int] = []
    bench.dispatcher.runs.on_leak = leaks.append
    bench.claim(1, kind="block", timeout=1_000)
    await bench.until(lambda: leaks == [1])
    assert bench.dispatcher.idle
    assert bench.outcomes == {1: timed_out(1_000)}
    bench.go.set()
    await bench.until(lambda: bench.dispatcher.runs.leaked == 0)
    assert bench.outcomes == {1: timed_out(1_000)}  # what it returned came too late


@on_loop
async def test_a_limit_that_is_kept_ends_nothing(bench: Bench):
    [job] = bench.claim(1, kind="block", timeout=3_600_000_000)
    await bench.until(lambda: bench.started)
    bench.go.set()
    await bench.until(lambda: bench.outcomes)
    assert bench.outcomes == {1: Returned('"done"')}
    assert job.timeout == 3_600_000_000


@pytest.mark.parametrize(
    ("outcome", "exceeded", "off", "expected"),
    [
        (BOOM, None, None, BOOM),
        (BOOM, 1_000, None, timed_out(1_000, "where it was")),
        (Interrupted(began=True), 1_000, None, timed_out(1_000)),
        (Snoozed(5), 1_000, None, timed_out(1_000)),
        (Returned("1"), 1_000, OFF, Returned("1")),
        (CalledOff("its own"), 1_000, OFF, CalledOff("its own")),
        (BOOM, 1_000, OFF, OFF),
        (Snoozed(5), None, OFF, OFF),
        (Interrupted(began=True), None, OFF, OFF),
        (Interrupted(began=True), None, None, Interrupted(began=True)),
    ],
)
def test_what_an_end_means_after_what_was_told(
    outcome: Outcome, exceeded: int | None, off: CalledOff | None, expected: Outcome
):
    job = Claimed(1, "k", "q", 0, "{}", 1, 1, 5, 0, 0, 0, 0, None, None, None, 0, "w")
    assert Run(job, exceeded=exceeded, off=off).judge(outcome) == expected
