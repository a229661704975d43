"""The dispatcher: what it asks for, and which slots stay free for whom."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine
from typing import Any

import pytest

from dibs import Dibs
from dibs.model.lifecycle import Outcome
from dibs.model.lines import Demand
from dibs.model.slots import Slots
from dibs.store.ops.claimed import Claimed, key_of
from dibs.worker import dispatch
from dibs.worker.dispatch import Dispatcher


class Ends:
    """Stands in for the settler: keeps the ids of the jobs that came back."""

    def __init__(self) -> None:
        self.ids: list[int] = []

    def add(self, job: Claimed, _: Outcome) -> None:
        self.ids.append(job.id)

    async def emptied(self) -> None:
        return


class Bench:
    """A dispatcher whose jobs run until they are let go."""

    def __init__(self, slots: Slots) -> None:
        app = Dibs("sqlite:///never-opened.db")
        self.started: list[int] = []
        self.gates: dict[int, asyncio.Event] = {}

        @app.job
        async def hold(n: int) -> None:
            self.started.append(n)
            self.gates[n] = asyncio.Event()
            await self.gates[n].wait()

        self.ends = Ends()
        self.pokes = 0
        self.dispatcher = Dispatcher(app.handlers, slots, 3, self.ends)  # type: ignore[arg-type]
        self.dispatcher.on_room = self.poked

    def poked(self) -> None:
        self.pokes += 1

    def claimed(self, n: int, priority: int, crashes: int = 0) -> Claimed:
        args = f'{{"n": {n}}}'
        row = (n, "hold", "mail", priority, args, 1, 1, 5, crashes, 0, 0, 0, None, None, None)
        return Claimed(*row, rank=priority, worker="w")

    async def add(self, *jobs: Claimed) -> None:
        self.dispatcher.add(list(jobs))
        await asyncio.sleep(0)  # so that what was started begins

    async def end(self, n: int) -> None:
        self.gates[n].set()
        while n not in self.ends.ids:  # noqa: ASYNC110 - it ends within a turn or two of the loop
            await asyncio.sleep(0)


def on_loop(slots: Slots) -> Callable[[Callable[[Bench], Coroutine[Any, Any, None]]], Any]:
    """Run a test on a loop of its own, with these slots."""

    def decorate(test: Callable[[Bench], Coroutine[Any, Any, None]]) -> Callable[[], None]:
        async def run() -> None:
            bench = Bench(slots)
            await test(bench)
            bench.dispatcher.close()
            await bench.dispatcher.interrupt()

        return lambda: asyncio.run(run())

    return decorate


@on_loop(Slots(3, {10: 1}))
async def test_a_reserved_slot_that_comes_free_asks_for_the_urgent(bench: Bench):
    low = [bench.claimed(n, 0) for n in range(1, 6)]
    await bench.add(*low, bench.claimed(9, 10))
    assert bench.started == [1, 2, 9]
    bench.pokes = 0
    await bench.end(9)
    assert bench.pokes == 1
    assert bench.dispatcher.demand(100) == Demand(1, {10: 0})
    await bench.end(1)
    await asyncio.sleep(0)
    assert bench.started == [1, 2, 9, 3]


@on_loop(Slots(10, {10: 2, 20: 2}))
async def test_reserved_slots_of_several_limits_ask_for_each_its_own(bench: Bench):
    await bench.add(*(bench.claimed(n, 0) for n in range(1, 9)))
    assert len(bench.started) == 6
    assert bench.dispatcher.demand(100) == Demand(4, {10: 0, 20: 2})


@on_loop(Slots(1, {}))
async def test_who_is_claimed_later_and_ranks_higher_passes(bench: Bench):
    await bench.add(bench.claimed(1, 0), bench.claimed(2, 0), bench.claimed(3, 0))
    await bench.add(bench.claimed(4, 20), bench.claimed(5, 0))
    for n in (1, 4, 2, 3):
        await bench.end(n)
        await asyncio.sleep(0)
    assert bench.started == [1, 4, 2, 3, 5]


def test_a_last_chance_that_fits_no_free_slot_goes_back(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(dispatch, "OVERDUE", 0.0)

    @on_loop(Slots(3, {10: 1}))
    async def test(bench: Bench) -> None:
        await bench.add(bench.claimed(1, 0), bench.claimed(2, 0), bench.claimed(3, 0, crashes=2))
        assert bench.started == [1, 2]
        bench.dispatcher.give_back_overdue()
        assert bench.ends.ids == [3]
        await bench.add(bench.claimed(4, 10))
        assert bench.started == [1, 2, 4]

    test()


def test_where_who_waits_to_be_alone_is_called_off_all_goes_on(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(dispatch, "OVERDUE", 0.0)

    @on_loop(Slots(2, {}))
    async def test(bench: Bench) -> None:
        suspect = bench.claimed(2, 0, crashes=2)
        await bench.add(bench.claimed(1, 0), suspect)
        assert (bench.started, bench.dispatcher.demand(9), bench.pokes) == ([1], None, 0)
        bench.dispatcher.call_off(key_of(suspect), None)
        assert bench.dispatcher.demand(9) is not None
        assert bench.pokes == 1
        await bench.add(bench.claimed(3, 0), bench.claimed(4, 0))
        bench.dispatcher.give_back_overdue()
        assert (bench.started, bench.ends.ids) == ([1, 3], [2, 4])

    test()
