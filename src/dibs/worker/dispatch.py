"""Dispatch: give claimed jobs to executors, in claim order, as slots come free."""

from __future__ import annotations

import asyncio
import contextvars
import logging
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from dibs.client.handler import Handler
from dibs.model.lifecycle import Interrupted, Outcome
from dibs.model.lines import Demand
from dibs.model.prefetch import OVERDUE, Prefetch
from dibs.model.slots import Slots
from dibs.store.ops.claim import Claimed, Key, key_of
from dibs.telemetry import log_event
from dibs.worker.attempt import attempt_async, failed
from dibs.worker.buffer import Buffer
from dibs.worker.processes import ProcessExecutor
from dibs.worker.settle import Settler
from dibs.worker.threads import ThreadExecutor

logger = logging.getLogger("dibs.worker")

ALONE_SECONDS = 30.0
"""How long a job on its last chance waits for the worker's other jobs to end."""
UNCANCELLED_SECONDS = 1.0
"""How long a cancelled async handler may take to clean up."""


@dataclass(slots=True, eq=False)
class _Run:
    """A job that occupies a slot."""

    job: Claimed
    task: asyncio.Task[None] | None = None


class Dispatcher:
    """Holds what was claimed: a short buffer, and what runs in the slots."""

    def __init__(
        self,
        worker: str,
        handlers: Mapping[str, Handler[..., Any]],
        slots: Slots,
        max_crashes: int,
        settler: Settler,
    ) -> None:
        """Run jobs in `slots`; `on_room` is called when there is room for more.

        Args:
            worker: its id.
            handlers: by kind.
            slots: how many jobs run at once, and which slots are reserved.
            max_crashes: how often a job's worker may die before the job is buried.
            settler: takes every job that ended, or is given back.
        """
        self._worker = worker
        self._handlers = handlers
        self._slots = slots
        self._settler = settler
        self._last_chance = max(1, max_crashes - 1)
        self._suspects = 0
        self.on_room: Callable[[], None] | None = None
        self._loop = asyncio.get_running_loop()
        self._prefetch = Prefetch(self._loop.time())
        self._buffer = Buffer()
        self._running: dict[Key, _Run] = {}
        self._threads = ThreadExecutor(worker, self._ended)
        self._processes = ProcessExecutor(worker, self._ended)
        self._empty = asyncio.Event()
        self._empty.set()
        self._alone: asyncio.Task[None] | None = None
        self._alone_by: float | None = None
        self._closed = False
        self._interrupting = False

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

    def _return(self, jobs: list[Claimed]) -> None:
        for job in jobs:
            self._suspects -= self._suspect(job)
            self._settler.add(job, Interrupted())
        self._note_empty()

    # --- Slots -----------------------------------------------------------------------------

    def _fill_slots(self) -> None:
        while self._buffer and self._slots.free and self._buffer.bring(self._slots.lowest):
            suspect = self._suspect(self._buffer.first)
            if self._alone is not None or (suspect and not self._may_start_alone()):
                return
            job = self._buffer.pop()
            run = self._running[key_of(job)] = _Run(job)
            self._slots.take(job.priority)
            self._empty.clear()
            if suspect:
                self._alone = self._loop.create_task(self._start_alone(run))
                return
            self._start(run)

    def _start(self, run: _Run) -> None:
        job = run.job
        handler = self._handlers[job.kind]
        if handler.executor == "async":
            # A context of its own, as in a thread: by default a task inherits the context that
            # makes it, and that is often the task of the job that ended before.
            run.task = self._loop.create_task(
                self._run_async(handler, job), context=contextvars.Context()
            )
        elif handler.executor == "thread":
            self._threads.start(handler, job)
        else:
            self._processes.start(handler, job)

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

    async def _start_alone(self, run: _Run) -> None:
        self.give_back()
        await self._settler.emptied()
        if key_of(run.job) in self._running:  # else it was interrupted meanwhile
            self._start(run)

    async def _run_async(self, handler: Handler[..., Any], job: Claimed) -> None:
        try:
            outcome = await attempt_async(handler, job, self._worker)
        except asyncio.CancelledError as error:
            outcome = Interrupted() if self._interrupting else failed(error)
        self._ended(job, outcome)

    def _ended(self, job: Claimed, outcome: Outcome) -> None:
        if self._running.pop(key_of(job), None) is None:
            return  # it was interrupted, and given back already
        free = self._slots.free
        self._slots.leave(job.priority)
        if self._suspect(job):
            self._suspects -= 1
            self._alone = self._alone_by = None
        self._prefetch.ended(1, self._loop.time())
        self._settler.add(job, outcome)
        self._fill_slots()
        self._note_empty()
        # A slot that stays free is of no use to what is held: it is one for the urgent.
        if self.on_room is not None and (self._slots.free > free or self._room()):
            self.on_room()

    def _note_empty(self) -> None:
        if not self._running and not self._buffer:
            self._empty.set()

    # --- Stopping --------------------------------------------------------------------------

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
        self._interrupting = True
        runs = list(self._running.values())
        tasks = [run.task for run in runs if run.task is not None]
        for task in tasks:
            task.cancel()
        if tasks:
            await asyncio.wait(tasks, timeout=UNCANCELLED_SECONDS)
        for run in runs:
            if run.task is not None and not run.task.done():
                _leave_behind(run.job, run.task)
            self._ended(run.job, Interrupted())
        self._processes.kill()
        self._threads.abandon()
        return len(runs)


def _leave_behind(job: Claimed, task: asyncio.Task[None]) -> None:
    """Let the event loop end without a handler that refuses to be cancelled.

    `asyncio.run` waits for every task it knows, and would wait for this one for ever.
    """
    asyncio.tasks._unregister_task(task)
    task._log_destroy_pending = False  # type: ignore[attr-defined]
    log_event(
        logger, logging.WARNING, "handler_left_behind",
        f"job {job.id} goes back to its queue, but its handler does not end when it is cancelled; "
        "let CancelledError out of it",
        job_id=job.id, kind=job.kind,
    )  # fmt: skip
