"""The supervisor: keeps N worker processes running, and stops them together.

A child that dies is started again, after a pause that grows while it dies young; one that ended to
be recycled, at once. If no child ever gets as far as taking jobs, the supervisor gives up with the
error that the last one reported.
"""

from __future__ import annotations

import asyncio
import logging
import signal
from collections.abc import Sequence
from random import Random

from dibs.errors import ConfigurationError
from dibs.model.backoff import Backoff
from dibs.model.times import SECOND
from dibs.telemetry import log_event
from dibs.worker.supervised import Supervised

logger = logging.getLogger("dibs.supervisor")

RESTARTS = Backoff.exponential(base=0.1, max=30)
"""Pause before a child is started again, by how often in a row it died young."""
GROWN_UP_SECONDS = 10.0
"""A child that lived longer did not die of its start."""
FAILED_STARTS = 5
"""So many children must die before any of them ever took jobs, for the supervisor to give up."""
USAGE_EXIT_CODE = 2
"""A child that ends so was started wrongly; trying again can't help."""
PATIENCE_SECONDS = 15.0
"""What a child gets beyond its grace time, and after a second signal, before it is killed."""


class WorkersFailedError(ConfigurationError):
    """No worker could be started at all."""

    def __init__(self, problem: str, exit_code: int) -> None:
        """Say why, and keep the exit code of the child that said so."""
        super().__init__(problem)
        self.exit_code = exit_code


class Supervisor:
    """Runs `dibs` with given arguments in N processes until all have stopped."""

    def __init__(
        self, arguments: Sequence[str], processes: int, *, grace: float, until_idle: bool
    ) -> None:
        """Prepare to run `processes` workers.

        Args:
            arguments: of the command line for each: `--app shop:app worker …`.
            processes: how many.
            grace: seconds that a worker needs to finish its jobs, as it was told itself.
            until_idle: leave children alone that ended because nothing was left to do.
        """
        self._arguments = list(arguments)
        self._processes = processes
        self._grace = grace
        self._until_idle = until_idle
        self._children: set[Supervised] = set()
        self._stopping = asyncio.Event()
        self._signals = 0
        self._ever_started = False
        self._failed_starts = 0
        self._failure: WorkersFailedError | None = None
        self._clean = True
        self._chance = Random()

    def run(self) -> bool:
        """Run until all children have stopped; return whether all of them ended cleanly.

        The first SIGTERM or SIGINT stops them gracefully, the second at once.

        Raises:
            WorkersFailedError: not one of them could start.
        """
        return asyncio.run(self._run())

    async def _run(self) -> bool:
        loop = asyncio.get_running_loop()
        for stop in (signal.SIGTERM, signal.SIGINT):
            loop.add_signal_handler(stop, self._signalled)
        async with asyncio.TaskGroup() as keepers:
            for number in range(1, self._processes + 1):
                keepers.create_task(self._keep(number))
        if self._failure is not None:
            raise self._failure
        return self._clean

    # --- One child after the other ---------------------------------------------------------

    async def _keep(self, number: int) -> None:
        """Keep one child running, by its successors, until it is no longer wanted."""
        deaths = 0
        event = "child_started"
        while not self._stopping.is_set():
            try:
                child = await Supervised.start(self._arguments)
            except OSError as error:
                age, deaths = 0.0, deaths + 1
                _log(logging.ERROR, "child_failed", f"cannot start worker {number}: {error}")
            else:
                _log(logging.INFO, event, f"worker {number} is process {child.pid}", pid=child.pid)
                if not await self._watch(number, child):
                    return
                event = "child_restarted"
                if child.recycling is not None:
                    deaths = 0  # it did not die of anything
                    continue
                age = child.age
                deaths = 1 if age > GROWN_UP_SECONDS else deaths + 1
            event = "child_restarted"
            await self._pause(RESTARTS.delay(deaths, self._chance) / SECOND)

    async def _watch(self, number: int, child: Supervised) -> bool:
        """Wait for a child's end, and return whether it must be replaced."""
        self._children.add(child)
        if self._stopping.is_set():  # it was told while this one was being made
            child.signal(signal.SIGTERM)
        code = await child.ended()
        self._children.discard(child)
        self._ever_started |= child.started.is_set()
        recycled = child.recycling is not None
        if self._stopping.is_set() or (self._until_idle and code == 0 and not recycled):
            # Before it listens to signals and after it has ended, SIGTERM simply ends a process.
            self._clean &= code in {0, -signal.SIGTERM}
            level = logging.INFO if self._clean else logging.ERROR
            _log(level, "child_stopped", f"worker {number} stopped", pid=child.pid, code=code)
            return False
        if recycled:
            _log(
                logging.INFO, "child_recycled",
                f"worker {number} makes room for a fresh one: {child.recycling}",
                pid=child.pid, reason=child.recycling, seconds=round(child.age, 3),
            )  # fmt: skip
            return True
        how = f"signal {_name(code)}" if code < 0 else f"exit code {code}"
        _log(
            logging.ERROR, "child_died",
            f"worker {number} died: {child.error or how}",
            pid=child.pid, code=code, seconds=round(child.age, 3),
        )  # fmt: skip
        self._judge(child, code, how)
        return True

    def _judge(self, child: Supervised, code: int, how: str) -> None:
        """Give up if children can't start at all; a system that once ran is kept running."""
        if self._ever_started:
            return
        self._failed_starts += 1
        if code == USAGE_EXIT_CODE or self._failed_starts >= FAILED_STARTS:
            problem = child.error or (
                f"the workers die before they take a job ({how}); what they printed says why"
            )
            self._failure = WorkersFailedError(problem, max(code, 1))
            self._stop()

    async def _pause(self, seconds: float) -> None:
        try:
            await asyncio.wait_for(self._stopping.wait(), seconds)
        except TimeoutError:
            return

    # --- Stopping --------------------------------------------------------------------------

    def _signalled(self) -> None:
        self._signals += 1
        how = "workers finish their jobs" if self._signals == 1 else "workers stop at once"
        _log(logging.INFO, "supervisor_stopping", how, processes=len(self._children))
        self._stop()

    def _stop(self) -> None:
        """Tell every child: the first time to finish, the second time to stop at once."""
        patience = PATIENCE_SECONDS + (0.0 if self._stopping.is_set() else self._grace)
        self._stopping.set()
        for child in self._children:
            child.signal(signal.SIGTERM)
        asyncio.get_running_loop().call_later(patience, self._kill)

    def _kill(self) -> None:
        for child in self._children:
            _log(logging.ERROR, "child_killed", "a worker did not stop", pid=child.pid)
            child.signal(signal.SIGKILL)


def _log(level: int, event: str, message: str, **fields: object) -> None:
    log_event(logger, level, event, message, **fields)


def _name(code: int) -> str:
    try:
        return signal.Signals(-code).name
    except ValueError:  # a real-time signal
        return str(-code)
