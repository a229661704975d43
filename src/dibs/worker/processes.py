"""Child processes for handlers that need the CPU, or that must be killable."""

from __future__ import annotations

import asyncio
import multiprocessing
import os
import signal
from collections.abc import Callable
from multiprocessing.connection import Connection
from multiprocessing.process import BaseProcess
from typing import Any

from dibs.client.handler import Handler
from dibs.model.lifecycle import Failed, Outcome
from dibs.store.ops.claim import Claimed
from dibs.worker import child

Done = Callable[[Claimed, Outcome], None]


class ProcessExecutor:
    """Runs each job alone in a child process; children are kept and used again.

    A child that dies fails only its own job, and the next job gets a new child.
    """

    def __init__(self, worker: str, done: Done) -> None:
        """Run jobs of `worker`; call `done` on the running loop for each that ended."""
        self._worker = worker
        self._done = done
        self._loop = asyncio.get_running_loop()
        self._context = multiprocessing.get_context("spawn")
        self._folder = os.getcwd()  # a handler may change it; children must find the same files
        self._idle: list[_Child] = []
        self._busy: set[_Child] = set()

    def start(self, handler: Handler[..., Any], job: Claimed) -> None:
        """Run a job in an idle child, or in a new one."""
        found = self._idle_child() or _Child(self._context, self._folder)
        self._busy.add(found)
        found.job = job
        self._loop.add_reader(found.connection.fileno(), self._ended, found)
        try:
            found.connection.send_bytes(child.encode_job(handler, job, self._worker))
        except OSError:  # it died while idle; its end of file is reported by the reader
            return

    def _idle_child(self) -> _Child | None:
        """Return a child that waits for work; clear away those that died while they waited."""
        while self._idle:
            found = self._idle.pop()
            if not found.connection.poll():  # an idle child says nothing: it is the end of file
                return found
            found.reap()
        return None

    def _ended(self, found: _Child) -> None:
        self._loop.remove_reader(found.connection.fileno())
        self._busy.discard(found)
        job = found.job
        found.job = None
        try:
            outcome = child.decode_outcome(found.connection.recv_bytes())
        except (EOFError, OSError):
            outcome = found.reap()
        else:
            self._idle.append(found)
        if job is not None:
            self._done(job, outcome)

    def kill(self) -> None:
        """Kill every child, with what it runs."""
        for found in self._busy:
            self._loop.remove_reader(found.connection.fileno())
        for found in [*self._busy, *self._idle]:
            found.process.kill()
            found.reap()
        self._busy.clear()
        self._idle.clear()


class _Child:
    """One child process and the pipe to it."""

    def __init__(self, context: Any, folder: str) -> None:
        ours: Connection
        ours, theirs = context.Pipe()
        self.connection = ours
        self.job: Claimed | None = None
        self.process: BaseProcess = context.Process(
            target=child.serve, args=(theirs, folder), name="dibs-child", daemon=True
        )
        self.process.start()
        theirs.close()

    def reap(self) -> Failed:
        """Wait for the dead process and return how it ended."""
        self.process.join()
        self.connection.close()
        code = self.process.exitcode or 0
        how = f"signal {signal.Signals(-code).name}" if code < 0 else f"exit code {code}"
        return Failed("ChildProcessDied", f"the child process that ran the job died: {how}")
