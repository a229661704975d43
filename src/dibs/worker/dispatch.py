"""Dispatch: give claimed jobs to executors, in claim order, as slots come free."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping
from typing import Any

from dibs.client.handler import Handler
from dibs.model.lifecycle import CalledOff, Interrupted, Outcome
from dibs.model.lines import Demand
from dibs.model.prefetch import OVERDUE, Prefetch
from dibs.model.slots import Slots
from dibs.store.ops.claimed import Claimed, Key, key_of
from dibs.worker.buffer import Buffer
from dibs.worker.runs import Run, Runs
from dibs.worker.settle import Settler

ALONE_SECONDS = 30.0
"""How long a job on its last chance waits for the worker's other jobs to end."""

_UNSTARTED = Interrupted()


class Dispatcher:
    """Holds what was claimed: a short buffer, and what runs in the slots."""

    def __init__(
        self,
        handlers: Mapping[str, Handler[..., Any]],
        slots: Slots,
        max_crashes: int,
        settler: Settler,
    ) -> None:
        """Run jobs in `slots`.

        `on_room` is called when there is room for more, `on_ended` for each that ended.

        Args:
            handlers: by kind.
            slots: how many jobs run at once, and which slots are reserved.
            max_crashes: how often a job's worker may die before the job is buried.
            settler: takes every job that ended, or is given back.
        """
        self._slots = slots
        self._settler = settler
        self._last_chance = max(1, max_crashes - 1)
        self._suspects = 0
        self.on_room: Callable[[], None] | None = None
        self.on_ended: Callable[[], None] | None = None
        self._loop = asyncio.get_running_loop()
        self._prefetch = Prefetch(self._loop.time())
        self._buffer = Buffer()
        self._running: dict[Key, Run] = {}
        self.runs = Runs(handlers, self._ended)
        self._empty = asyncio.Event()
        self._empty.set()
        self._alone: asyncio.Task[None] | None = None
        self._alone_by: float | None = None
        self._closed = False

    def demand(self, most: int) -> Demand | None:
        """Return what to claim now, at most so many; None where a claim would not pay."""
        if room := self._room():
            held = [job.priority for job in self._buffer.jobs]
            return self._slots.demand(min(room, most), self._prefetch.allowed, held)
        if self._slots.free and self._buffer and not self._suspects:
            # Free, and of no use to what is held: reserved slots wait for the urgent alone.
            return self._slots.demand(min(self._slots.free, most), 0, ())
        return None

    def _room(self) -> int:
        """Return how many jobs to claim now; 0 where a claim would be too small to pay."""
        if self._closed or self._suspects:
            return 0
        ahead = self._prefetch.allowed
        room = self._slots.free + max(0, ahead - len(self._buffer))
        return room if room >= max(1, ahead // 2) else 0

    def held(self) -> set[Key]:
        """Return every claim in the buffer or in a slot."""
        return set(map(key_of, self._buffer.jobs)) | set(self._running)

    @property
    def idle(self) -> bool:
        """Whether nothing is held."""
        return self._empty.is_set()

    @property
    def waiting(self) -> bool:
        """Whether something is held that has not started."""
        return bool(self._buffer)

    async def emptied(self) -> None:
        """Wait until nothing is held."""
        await self._empty.wait()

    def add(self, jobs: list[Claimed]) -> None:
        """Take claimed jobs, in claim order; they pass those held that are of lower rank."""
        self._buffer.add(jobs, self._loop.time())
        self._suspects += sum(map(self._suspect, jobs))
        if self._closed:  # the claim was under way when the worker was told to stop
            self.give_back()
        self._fill_slots()

    def give_back_overdue(self) -> None:
        """Give back what waits too long: slow jobs took the slots, or urgent ones passed it."""
        if self._alone is not None or self._alone_by is not None:
            return  # the one in front waits to be alone
        now = self._loop.time()
        if self._buffer.front_is_older(now - OVERDUE):
            self._prefetch.reset(now)  # nothing started meanwhile: the rate was a bad promise
        self._return(self._buffer.drop_older(now - OVERDUE))

    def give_back(self, *, but: int = 0) -> None:
        """Give back every claim that has not started, but the first so many."""
        self._return(self._buffer.drop(but=but))

    def _return(self, jobs: list[Claimed], outcome: Outcome = _UNSTARTED) -> None:
        for job in jobs:
            self._suspects -= self._suspect(job)
            self._settler.add(job, outcome)
        self._note_empty()

    # --- Slots -----------------------------------------------------------------------------

    def _fill_slots(self) -> None:
        while self._buffer and self._slots.free and self._buffer.bring(self._slots.lowest):
            suspect = self._suspect(self._buffer.first)
            if self._alone is not None or (suspect and not self._may_start_alone()):
                return
            job = self._buffer.pop()
            run = self._running[key_of(job)] = Run(job)
            self._slots.take(job.priority)
            self._empty.clear()
            if suspect:
                self._alone = self._loop.create_task(self._start_alone(run))
                return
            self.runs.start(run)

    # A worker that dies counts a crash for every job it holds, and most of them are innocent. So a
    # job that would be buried by one crash more is started only when the worker holds nothing
    # else, or nothing but jobs that have long run without harm: what is buried for its worker's
    # death stood out.

    def _suspect(self, job: Claimed) -> bool:
        return job.crashes >= self._last_chance

    def _may_start_alone(self) -> bool:
        if not self._running:
            return True
        now = self._loop.time()
        if self._alone_by is None:
            self._alone_by = now + ALONE_SECONDS
            self._loop.call_at(self._alone_by, self._fill_slots)
            self.give_back(but=1)
        return now >= self._alone_by

    async def _start_alone(self, run: Run) -> None:
        self.give_back()
        await self._settler.emptied()
        if key_of(run.job) in self._running:  # else it was interrupted meanwhile
            self.runs.start(run)

    def _ended(self, job: Claimed, outcome: Outcome) -> None:
        run = self._running.pop(key_of(job), None)
        if run is None:
            return  # it was ended from outside, and settled already
        run.over = True
        if run.timer is not None:
            run.timer.cancel()
        free = self._slots.free
        self._slots.leave(job.priority)
        if self._suspect(job):
            self._suspects -= 1
            self._alone = self._alone_by = None
        self._prefetch.ended(1, self._loop.time())
        self._settler.add(job, run.judge(outcome))
        if self.on_ended is not None:
            self.on_ended()
        self._fill_slots()
        self._note_empty()
        # A slot that stays free is of no use to what is held: it is one for the urgent.
        if self.on_room is not None and (self._slots.free > free or self._room()):
            self.on_room()

    def _note_empty(self) -> None:
        if not self._running and not self._buffer:
            self._empty.set()

    # --- Stopping --------------------------------------------------------------------------

    def call_off(self, key: Key, reason: str | None) -> None:
        """End a job that is held, because somebody wants it cancelled; may be told again."""
        if (run := self._running.get(key)) is not None:
            self.runs.call_off(run, reason)
        elif (job := self._buffer.take(key)) is not None:
            self._return([job], CalledOff(reason))
            if self._suspect(job) and not self._suspects:  # nobody waits to be alone any more
                self._alone_by = None
                if self.on_room is not None and self._room():
                    self.on_room()

    def close(self) -> None:
        """Start nothing more: give back what has not started, and what still comes in."""
        self._closed = True
        self.give_back()

    async def finish(self, grace: float) -> None:
        """Wait up to `grace` seconds for what runs."""
        if grace > 0:
            try:
                await asyncio.wait_for(self.emptied(), grace)
            except TimeoutError:
                return

    async def interrupt(self) -> int:
        """End what still runs, without using up attempts; return how many jobs that were.

        Async handlers are cancelled, child processes killed; threads can only be left behind,
        and what they return is ignored.
        """
        runs = list(self._running.values())
        await self.runs.interrupt(runs)
        for run in runs:
            self._ended(run.job, Interrupted(run.began))
        self.runs.close()
        return len(runs)
