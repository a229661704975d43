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
from dibs.store.ops.claimed import Claimed, Key, key_of
from dibs.worker import child

Done = Callable[[Claimed, Outcome], None]

TERM_SECONDS = 1.0
"""How long a child has to end after SIGTERM, before it is killed."""
REAP_SECONDS = 0.5
"""How long a child may live on once its pipe is closed; the event loop waits meanwhile."""


class ProcessExecutor:
    """Runs each job alone in a child process; children are kept and used again.

    A child that dies fails only its own job, and the next job gets a new child.
    """

    def __init__(self, done: Done) -> None:
        """Run jobs; call `done` on the running loop for each that ended."""
        self._done = done
        self._loop = asyncio.get_running_loop()
        self._context = multiprocessing.get_context("spawn")
        self._folder = os.getcwd()  # a handler may change it; children must find the same files
        self._idle: list[_Child] = []
        self._busy: dict[Key, _Child] = {}

    def start(self, handler: Handler[..., Any], job: Claimed) -> None:
        """Run a job in an idle child, or in a new one.

        Raises:
            OSError: the system has no process or memory left.
        """
        found = self._idle_child() or _Child(self._context, self._folder)
        self._busy[key_of(job)] = found
        self._loop.add_reader(found.connection.fileno(), self._ended, job)
        try:
            found.connection.send_bytes(child.encode_job(handler, job))
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

    def _ended(self, job: Claimed) -> None:
        found = self._busy[key_of(job)]
        try:
            outcome = child.decode_outcome(found.connection.recv_bytes())
        except (EOFError, OSError):
            self._bury(job)
            return
        self._release(job)
        if found.ending is None:
            self._idle.append(found)
        else:  # it was quicker than the signal, which it will feel yet
            found.reap()
        self._done(job, outcome)

    def _release(self, job: Claimed) -> _Child:
        found = self._busy.pop(key_of(job))
        self._unwatch(found)
        return found

    def _unwatch(self, found: _Child) -> None:
        self._loop.remove_reader(found.connection.fileno())
        if found.ending is not None:
            found.ending.cancel()

    def _bury(self, job: Claimed) -> None:
        self._done(job, self._release(job).reap())

    def terminate(self, job: Claimed) -> None:
        """End the child that runs a job: SIGTERM, and SIGKILL if it is still there a bit later.

        The job ends as if the child had died; the next one gets a new child.
        """
        found = self._busy[key_of(job)]
        if found.ending is None:
            found.process.terminate()
            # Not left to the end of its pipe: what the handler forked may hold that open.
            found.ending = self._loop.call_later(TERM_SECONDS, self._bury, job)

    def kill(self) -> None:
        """Kill every child, with what it runs."""
        for found in self._busy.values():
            self._unwatch(found)
        for found in [*self._busy.values(), *self._idle]:
            found.reap()
        self._busy.clear()
        self._idle.clear()


class _Child:
    """One child process and the pipe to it."""

    def __init__(self, context: Any, folder: str) -> None:
        ours: Connection
        ours, theirs = context.Pipe()
        self.connection = ours
        self.ending: asyncio.TimerHandle | None = None
        """Set once it was told to end: kills it, if it does not."""
        self.process: BaseProcess = context.Process(
            target=child.serve, args=(theirs, folder), name="dibs-child", daemon=True
        )
        self.process.start()
        theirs.close()

    def reap(self) -> Failed:
        """See to it that the process is dead, and return how it ended."""
        # The end of its pipe is not always its own: a handler may have closed all files, and go
        # on. To a process that is ending by itself this does nothing.
        self.process.kill()
        self.process.join()
        self.connection.close()
        code = self.process.exitcode or 0
        how = f"signal {signal.Signals(-code).name}" if code < 0 else f"exit code {code}"
        return Failed("ChildProcessDied", f"the child process that ran the job died: {how}")
