"""Reading all that tells why a job does not run: its line, its queue, and who serves it."""

from __future__ import annotations

from collections.abc import Generator
from dataclasses import dataclass, field

from dibs.model.job import WAITING, Job, State
from dibs.model.lines import Serving
from dibs.model.queues import STRICT, QueuePolicy
from dibs.model.standing import Spot, bounds, window_start, within
from dibs.model.times import to_micros
from dibs.model.uses import LIMIT, QUEUE
from dibs.model.verdicts import obstacle_at
from dibs.store.ops.front import line_fronts
from dibs.store.ops.jobs import job_get
from dibs.store.ops.limit_keys import KeyUse, read_uses
from dibs.store.ops.queues import queue_get
from dibs.store.ops.workers import WorkerRecord, worker_list
from dibs.store.statement import RowList, Rows, Statement, Steps, operation


@dataclass(frozen=True, slots=True)
class Standing:
    """A job and what stands around it; what its state makes pointless to know is not read."""

    now: int
    job: Job
    workers: list[WorkerRecord] = field(default_factory=list)
    held: dict[str, dict[int, int]] = field(default_factory=dict)
    """How many jobs of each priority each worker holds."""
    lost: frozenset[str] = frozenset()
    """Workers that hold jobs without a lease."""
    policy: QueuePolicy = STRICT
    """Of its queue."""
    moved: list[tuple[int, int, int]] = field(default_factory=list)
    """Per priority of its queue: ended attempts, and the minute of the first of them."""
    priorities: list[int] = field(default_factory=list)
    """The priorities of which its queue has ready jobs, and that workers take who can run it."""
    ahead: dict[int, int] | None = None
    """How many of each are ahead of it; None where it stands in no line."""
    limit: KeyUse | None = None
    """The key of a limit, or of its queue's concurrency, under which it needs room."""


@operation(reads=True)
def job_standing(job_id: int, most: int) -> Steps[Standing]:
    """Return where a job stands.

    Args:
        job_id: which job.
        most: stop counting those ahead of it when there are more.

    Raises:
        JobNotFoundError: no job has this id.
    """
    now = (yield Statement("stats_clock", {}))[0][0]
    job = yield from job_get(job_id).steps()
    if job.state not in {*WAITING, State.RUNNING}:
        return Standing(now, job)
    workers = yield from worker_list().steps()
    busy = yield Statement("workers_busy", {})
    held: dict[str, dict[int, int]] = {}
    for worker, priority, count, _ in busy:
        held.setdefault(worker, {})[priority] = count
    lost = frozenset(worker for worker, *_, alive in busy if not alive)
    if job.state is State.RUNNING:
        return Standing(now, job, workers, held, lost)
    queue = yield from queue_get(job.queue).steps()
    moved = yield Statement("queue_moved", {"queue": job.queue, "since": window_start(now)})
    limit = yield from _limit(job, queue.policy)
    front = yield from line_fronts(Serving((job.queue,))).steps()
    able = [one for one in workers if not obstacle_at(one, job.queue, job.kind, job.priority)]
    priorities = within((line.priority for line in front.lines), able)
    ahead = None
    if job.state is State.READY:
        mine = Spot(job.priority, to_micros(job.scheduled_at), job.id)
        table = Rows(Spot._fields, bounds(priorities, queue.policy, mine, now))
        counted = {"queue": job.queue, "bounds": table, "most": most + 1}
        ahead = {row[0]: row[1] for row in (yield Statement("jobs_ahead", counted))}
    return Standing(
        now, job, workers, held, lost, queue.policy, [(row[0], row[1], row[2]) for row in moved],
        priorities, ahead, limit,
    )  # fmt: skip


def _limit(job: Job, policy: QueuePolicy) -> Generator[Statement, RowList, KeyUse | None]:
    """Return where a job needs room, if it does."""
    if job.state is State.READY:
        keys = [] if policy.concurrency is None else [QUEUE + job.queue]
    else:
        rows = yield Statement("blocked_key", {"id": job.id})
        keys = [key for (key,) in rows if key.startswith(LIMIT)]
    return next(iter((yield from read_uses(keys))), None)
