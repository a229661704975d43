"""The fetcher: how often it looks where every nudge is for others, at a time that a test moves."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine
from typing import Any

import pytest

from dibs import Dibs
from dibs.model.lifecycle import Claim
from dibs.model.lines import Serving, Turn
from dibs.model.slots import Slots
from dibs.store.ops.claim import Found
from dibs.store.statement import Operation
from dibs.worker.dispatch import Dispatcher
from dibs.worker.fetch import VAIN, VAIN_SECONDS, Fetcher

MANY = 10 * VAIN


class Empty:
    """Stands in for a store in which a claim finds `turns` only: others took the jobs first."""

    def __init__(self) -> None:
        self.looks = 0
        self.turns: list[Turn] = []

    async def arun(self, operation: Operation[Any]) -> Found | list[Claim]:
        if operation.name == "job_held":
            return []
        self.looks += 1
        return Found([], False, False, False, 0, self.turns, {}, 0)

    def nudge(self, queues: set[str]) -> None:
        assert not queues, "nothing was offered"


class NoTurns:
    """Stands in for the turns under limits, of which there are none."""

    async def tend(self) -> None: ...

    async def catch_up(self) -> None: ...

    async def fill(self, demand: int) -> None: ...


class Bench:
    """A fetcher with room for jobs, in a loop whose clock stands still."""

    def __init__(self) -> None:
        self.now = 100.0
        asyncio.get_running_loop().time = lambda: self.now  # type: ignore[method-assign]
        handlers = Dibs("sqlite:///never-opened.db").handlers
        slots = Dispatcher(handlers, Slots(10, {}), 3, object())  # type: ignore[arg-type]
        self.store = Empty()
        serving = Serving(("mail",), lowest=10)
        turns = NoTurns()
        self.fetcher = Fetcher(
            self.store, "w", serving, [], slots, set, turns, lambda: True, poll=30,  # type: ignore[arg-type]
        )  # fmt: skip

    async def nudged(self, times: int) -> int:
        """Nudge so often, each time with a chance to look; return how many looks came of it."""
        before = self.store.looks
        for _ in range(times):
            self.fetcher.nudge()
            self.pause = await self.fetcher.tick()
        return self.store.looks - before


def on_loop(test: Callable[[Bench], Coroutine[Any, Any, None]]) -> Callable[[], None]:
    """Run a test on a loop of its own."""

    async def run() -> None:
        await test(Bench())

    return lambda: asyncio.run(run())


@on_loop
async def test_nudges_in_vain_make_it_look_less_often(bench: Bench):
    assert await bench.nudged(MANY) == VAIN
    assert bench.pause == pytest.approx(VAIN_SECONDS)
    for _ in range(3):
        bench.now += VAIN_SECONDS * 1.01
        assert await bench.nudged(MANY) == 1


@on_loop
async def test_a_nudge_that_was_for_it_ends_that(bench: Bench):
    assert await bench.nudged(MANY) == VAIN
    bench.now += VAIN_SECONDS * 1.01
    bench.store.turns = [Turn(-10, 0, 1, "mail", 10)]
    assert await bench.nudged(MANY) == MANY
    bench.store.turns = []
    assert await bench.nudged(MANY) == VAIN


@on_loop
async def test_who_asks_is_not_kept_waiting(bench: Bench):
    await bench.nudged(MANY)
    answer = bench.fetcher.ask()
    assert await bench.nudged(1) == 1
    assert await answer


@on_loop
async def test_looks_without_a_nudge_are_none_in_vain(bench: Bench):
    for _ in range(MANY):
        assert await bench.fetcher.tick() > 1
    assert bench.store.looks == MANY
