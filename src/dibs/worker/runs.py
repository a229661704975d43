"""Runs: jobs in the hands of executors, and how one is ended from outside.

Three things end a run before its handler does: its time limit, somebody who cancels the job, and
the worker's own stop. A coroutine is cancelled and a child process killed; a thread can only be
told. What does not end by that is *left behind* where its slot is needed again, and counts as
leaked until it returns.
"""

from __future__ import annotations

import asyncio
import contextvars
import logging
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

from dibs.client.handler import Handler
from dibs.client.stopping import StopSignal
from dibs.model.lifecycle import CalledOff, Failed, Interrupted, Outcome, Returned
from dibs.model.timeouts import time_limit, timed_out
from dibs.model.times import SECOND, in_seconds
from dibs.store.ops.claimed import Claimed
from dibs.telemetry import log_event
from dibs.worker.attempt import attempt_async, failed
from dibs.worker.processes import ProcessExecutor
from dibs.worker.threads import ThreadExecutor

logger = logging.getLogger("dibs.worker")

UNCANCELLED_SECONDS = 1.0
"""How long a cancelled async handler may take to clean up."""


@dataclass(slots=True, eq=False)
class Run:
    """A job that occupies a slot."""

    job: Claimed
    stop: StopSignal = field(default_factory=StopSignal)
    began: bool = False
    """Whether its handler was called."""
    task: asyncio.Task[None] | None = None
    timer: asyncio.TimerHandle | None = None
    exceeded: int | None = None
    """The time limit that it exceeded, in microseconds."""
    off: CalledOff | None = None
    """Set once somebody wants the job cancelled."""
    over: bool = False
    """Whether its slot is free again."""

    def judge(self, outcome: Outcome) -> Outcome:
        """Return what the end of the handler means after what it was told.

        What it did counts: who returns in spite of all has done the work.
        """
        if isinstance(outcome, Returned | CalledOff):
            return outcome
        if self.off is not None:
            return self.off
        if self.exceeded is not None:
            trace = outcome.traceback if isinstance(outcome, Failed) else ""
            return timed_out(self.exceeded, trace)
        return outcome


class Runs:
    """Starts runs on the three executors, and ends them."""

    def __init__(
        self,
        handlers: Mapping[str, Handler[..., Any]],
        ended: Callable[[Claimed, Outcome], None],
    ) -> None:
        """Run jobs by `handlers`; call `ended` on the loop for each that ended."""
        self._handlers = handlers
        self._ended = ended
        self._loop = asyncio.get_running_loop()
        self._threads = ThreadExecutor(ended, self._came_back)
        self._processes = ProcessExecutor(ended)
        self._interrupting = False
        self.leaked = 0
        """Handlers that were left behind, and have not returned yet."""
        self.on_leak: Callable[[int], None] | None = None

    def start(self, run: Run) -> None:
        """Give a run to its executor, with its time limit."""
        job = run.job
        handler = self._handlers[job.kind]
        limit = time_limit(job.timeout, handler.timeout, job.queue_timeout)
        if limit is not None:
            run.timer = self._loop.call_later(limit / SECOND, self._expired, run, limit)
        if handler.executor == "async":
            # A context of its own, as in a thread: by default a task inherits the context that
            # makes it, and that is often the task of the job that ended before.
            run.task = self._loop.create_task(
                self._run_async(handler, run), context=contextvars.Context()
            )
            return
        run.began = True
        try:
            if handler.executor == "thread":
                self._threads.start(handler, job, run.stop)
            else:
                self._processes.start(handler, job)
        except (OSError, RuntimeError) as error:
            # The system has no thread, process or memory left: its backoff gives it time. Not at
            # once: the slot's next job would be started from within this start.
            self._loop.call_soon(self._ended, job, failed(error))

    async def _run_async(self, handler: Handler[..., Any], run: Run) -> None:
        run.began = True
        try:
            outcome = await attempt_async(handler, run.job, run.stop)
        except asyncio.CancelledError as error:
            interrupted = self._interrupting and run.exceeded is None
            outcome = Interrupted(began=True) if interrupted else failed(error)
        self._ended(run.job, outcome)

    # --- Ended from outside ----------------------------------------------------------------

    def _expired(self, run: Run, limit: int) -> None:
        """Its time is up."""
        run.exceeded, run.timer = limit, None
        run.stop.tell(f"it took longer than its timeout of {in_seconds(limit / SECOND)} s")
        if self._executor(run) == "thread":
            self._threads.leave(run.job)
            self._leave(run)
            self._ended(run.job, timed_out(limit))
        elif self._end(run):
            run.timer = self._loop.call_later(UNCANCELLED_SECONDS, self._ignored_limit, run, limit)

    def _ignored_limit(self, run: Run, limit: int) -> None:
        if run.task is None:
            return  # a child process, which is killed
        forget(run.task)
        run.task.add_done_callback(lambda _: self._came_back(run.job, None))
        self._leave(run)
        self._ended(run.job, timed_out(limit))

    def call_off(self, run: Run, reason: str | None) -> None:
        """End a run because somebody wants its job cancelled; done once."""
        if run.off is not None:
            return
        run.off = CalledOff(reason)
        run.stop.tell("it was cancelled" + (f": {reason}" if reason else ""))
        if (self._executor(run) == "thread" and run.began) or self._end(run):
            self._loop.call_later(UNCANCELLED_SECONDS, self._say_unstoppable, run)

    def _end(self, run: Run) -> bool:
        """Cancel a coroutine or end a child; return whether its end is still to come."""
        if not run.began:  # a task that is cancelled before its first step takes none
            if run.task is not None:
                run.task.cancel()
            self._ended(run.job, Interrupted())
            return False
        if run.task is not None:
            run.task.cancel()
        else:
            self._processes.terminate(run.job)
        return True

    async def interrupt(self, runs: Iterable[Run]) -> None:
        """End what still runs because the worker stops; threads can only be told."""
        self._interrupting = True
        tasks = {}
        for run in runs:
            run.stop.tell("its worker stops")
            if run.task is not None:
                run.task.cancel()
                tasks[run.task] = run.job
        if tasks:
            await asyncio.wait(tasks, timeout=UNCANCELLED_SECONDS)
        for task, job in tasks.items():
            if not task.done():
                forget(task)
                _say_left_behind(job, "async")

    def close(self) -> None:
        """Kill all children, and leave all threads to themselves."""
        self._processes.kill()
        self._threads.abandon()

    # --- What cannot be ended --------------------------------------------------------------

    def _executor(self, run: Run) -> str:
        return self._handlers[run.job.kind].executor

    def _leave(self, run: Run) -> None:
        self.leaked += 1
        _say_left_behind(run.job, self._executor(run), self.leaked)
        if self.on_leak is not None:
            self.on_leak(self.leaked)

    def _came_back(self, job: Claimed, outcome: Outcome | None) -> None:
        """Count one less that was left behind; what it did comes too late."""
        self.leaked -= 1
        log_event(
            logger, logging.INFO, "handler_came_back",
            f"the handler of job {job.id} has ended, long after it was left behind; "
            "what it returned is ignored",
            job_id=job.id, kind=job.kind, attempt=job.attempt, leaked=self.leaked,
            returned=isinstance(outcome, Returned),
        )  # fmt: skip

    def _say_unstoppable(self, run: Run) -> None:
        if run.over or self._executor(run) == "process":  # which is killed, whatever it does
            return
        log_event(
            logger, logging.WARNING, "cancel_ignored",
            f"job {run.job.id} is to be cancelled, but runs on until its handler returns: "
            + _ADVICE[self._executor(run)],
            job_id=run.job.id, kind=run.job.kind,
        )  # fmt: skip


_ADVICE = {
    "async": "let CancelledError out of it",
    "thread": "a thread cannot be stopped; look at ctx.cancelled in it, or use executor='process'",
}


def _say_left_behind(job: Claimed, executor: str, leaked: int = 0) -> None:
    log_event(
        logger, logging.WARNING, "handler_left_behind",
        f"the attempt of job {job.id} is over, but its handler does not end: {_ADVICE[executor]}",
        job_id=job.id, kind=job.kind, leaked=leaked,
    )  # fmt: skip


def forget(task: asyncio.Task[None]) -> None:
    """Let the event loop end without a handler that refuses to be cancelled.

    `asyncio.run` waits for every task it knows, and would wait for this one for ever.
    """
    asyncio.tasks._unregister_task(task)
    task._log_destroy_pending = False  # type: ignore[attr-defined]
