"""Threads for sync handlers, fed without the event loop's own executor, which is slow."""

from __future__ import annotations

import asyncio
import contextvars
import threading
from collections import deque
from collections.abc import Callable
from queue import SimpleQueue
from typing import Any

from dibs.client.handler import Handler
from dibs.client.stopping import StopSignal
from dibs.model.lifecycle import Outcome
from dibs.store.ops.claimed import Claimed, Key, key_of
from dibs.worker.attempt import attempt_sync

Done = Callable[[Claimed, Outcome], None]


class ThreadExecutor:
    """Runs jobs in daemon threads, as many as are needed at once, and reports on the loop."""

    def __init__(self, done: Done, late: Done) -> None:
        """Run jobs, and tell of each that ended on the running loop.

        Args:
            done: told of a job that ended.
            late: told instead where the job's thread had been left behind.
        """
        self._done = done
        self._late = late
        self._loop = asyncio.get_running_loop()
        self._jobs: SimpleQueue[tuple[Handler[..., Any], Claimed, StopSignal] | None]
        self._jobs = SimpleQueue()
        self._ended: deque[tuple[Claimed, Outcome]] = deque()
        self._reporting = False
        self._lock = threading.Lock()
        self._threads = 0
        self._active = 0
        self._left: set[Key] = set()

    def start(self, handler: Handler[..., Any], job: Claimed, stop: StopSignal) -> None:
        """Run a job in a free thread, or in a new one; `stop` is what its context looks at.

        Raises:
            RuntimeError: the system has no thread left.
        """
        if self._active >= self._threads:
            name = f"dibs-job-{self._threads + 1}"
            # Counted once it runs: the system may have none left.
            threading.Thread(target=self._work, name=name, daemon=True).start()
            self._threads += 1
        self._active += 1
        self._jobs.put((handler, job, stop))

    def leave(self, job: Claimed) -> None:
        """Count on the thread of a job no more, until it returns; others take its place."""
        self._left.add(key_of(job))
        self._active -= 1
        self._threads -= 1

    def abandon(self) -> None:
        """Leave running jobs to themselves: a thread cannot be stopped from outside."""
        for _ in range(self._threads + len(self._left)):
            self._jobs.put(None)

    def _work(self) -> None:
        while (item := self._jobs.get()) is not None:
            handler, job, stop = item
            outcome = contextvars.Context().run(attempt_sync, handler, job, stop)
            self._ended.append((job, outcome))
            with self._lock:
                wake, self._reporting = not self._reporting, True
            if wake:
                self._call_loop()

    def _call_loop(self) -> None:
        try:
            self._loop.call_soon_threadsafe(self._report)
        except RuntimeError:  # the loop is closed: the worker stopped without this job
            return

    def _report(self) -> None:
        with self._lock:
            self._reporting = False
        while self._ended:
            job, outcome = self._ended.popleft()
            if self._left and key_of(job) in self._left:
                self._left.remove(key_of(job))
                self._threads += 1  # it takes jobs again
                self._late(job, outcome)
                continue
            self._active -= 1
            self._done(job, outcome)
