"""The verdict on a job that does not run: what it waits for, or what is in its way."""

from __future__ import annotations

from collections.abc import Collection
from enum import StrEnum
from typing import Protocol

from dibs.model.job import WAITING, State


class Verdict(StrEnum):
    """Why a job is not running, in a word for programs."""

    NOT_DUE = "not_due"
    """Its time has not come."""
    QUEUE_PAUSED = "queue_paused"
    """Somebody paused its queue."""
    KIND_PAUSED = "kind_paused"
    """Somebody paused its kind."""
    NO_WORKERS = "no_workers"
    """No worker is alive."""
    QUEUE_UNSERVED = "queue_unserved"
    """No live worker serves its queue."""
    KIND_UNKNOWN = "kind_unknown"
    """No live worker that serves its queue knows its kind."""
    PRIORITY_OUT_OF_RANGE = "priority_out_of_range"
    """The live workers that could run it take other priorities only."""
    MOVING = "moving"
    """A live worker is to make it ready, which takes about a second."""
    LIMITED = "limited"
    """A limit of its own has no room for it now."""
    TENANTS_TURN = "tenants_turn"
    """In a fair queue it is the turn of other tenants, or of other jobs of its own."""
    QUEUE_FULL = "queue_full"
    """As many jobs of its queue run as may at once."""
    IN_LINE = "in_line"
    """Others go first, or all slots are taken or reserved for more urgent jobs."""
    ABOUT_TO_START = "about_to_start"
    """It is ready, and a slot is free for it."""
    RUNNING = "running"
    """It has started."""
    WORKER_LOST = "worker_lost"
    """It has started, but its worker has no lease any more."""
    ENDED = "ended"
    """It is completed, cancelled or dead."""


OBSTACLES = (
    Verdict.NO_WORKERS,
    Verdict.QUEUE_UNSERVED,
    Verdict.KIND_UNKNOWN,
    Verdict.PRIORITY_OUT_OF_RANGE,
)
"""What keeps everybody from starting a job; the later ones are nearer to its start."""


class Serves(Protocol):
    """A worker, by what it takes."""

    @property
    def queues(self) -> Collection[str]:
        """The names of the queues that it serves."""

    @property
    def kinds(self) -> Collection[str]:
        """The kinds that it has handlers of."""

    @property
    def lowest(self) -> int:
        """The lowest priority that it takes."""

    @property
    def highest(self) -> int:
        """The highest priority that it takes."""


def obstacle_at(worker: Serves, queue: str, kind: str, priority: int) -> Verdict | None:
    """Return why a worker cannot run such a job, None if it can.

    Ranges look at the priority that the job has; aging does not bring it into one.
    """
    if queue not in worker.queues:
        return Verdict.QUEUE_UNSERVED
    if kind not in worker.kinds:
        return Verdict.KIND_UNKNOWN
    if not worker.lowest <= priority <= worker.highest:
        return Verdict.PRIORITY_OUT_OF_RANGE
    return None


def obstacle_of(workers: Collection[Verdict | None]) -> Verdict | None:
    """Return why no worker can run a job, by what each of them is kept from it; None if one can.

    It names what the nearest of them lacks.
    """
    lacking = [obstacle for obstacle in workers if obstacle is not None]
    if len(lacking) < len(workers):
        return None
    return max(lacking, key=OBSTACLES.index, default=Verdict.NO_WORKERS)


def judge(
    state: State,
    *,
    due: bool,
    obstacle: Verdict | None,
    next_up: bool,
    lost: bool,
    full: bool = False,
    tenant: bool = False,
) -> Verdict:
    """Return the verdict on a job.

    Args:
        state: where it stands.
        due: its time has come.
        obstacle: why nobody can run it.
        next_up: there are more slots free for it than jobs ahead of it.
        lost: its worker's lease has run out.
        full: there is no room where it has to wait for some: under its limit, or in its queue.
        tenant: it waits for the turn of its tenant in a fair queue.
    """
    if state is State.RUNNING:
        return Verdict.WORKER_LOST if lost else Verdict.RUNNING
    if state not in WAITING:
        return Verdict.ENDED
    if state is State.SCHEDULED and not due:
        return Verdict.NOT_DUE
    if obstacle is not None:
        return obstacle
    if state is State.READY:
        return _in_line(next_up=next_up, full=full)
    return Verdict.TENANTS_TURN if tenant else Verdict.LIMITED if full else Verdict.MOVING


def _in_line(*, next_up: bool, full: bool) -> Verdict:
    if full:
        return Verdict.QUEUE_FULL
    return Verdict.ABOUT_TO_START if next_up else Verdict.IN_LINE
