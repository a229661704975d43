"""Reading all that tells why a job does not run: its line, its queue, and who serves it."""

from __future__ import annotations

from collections.abc import Generator, Iterable
from dataclasses import dataclass, field

from dibs.model.job import WAITING, Job, State
from dibs.model.lines import Serving
from dibs.model.pauses import Pause
from dibs.model.queues import STRICT, QueuePolicy
from dibs.model.standing import Spot, bounds, window_start, within
from dibs.model.times import to_micros
from dibs.model.uses import LIMIT, QUEUE
from dibs.model.verdicts import obstacle_at
from dibs.store.ops.fair import FAIR, tenant_of
from dibs.store.ops.front import line_fronts
from dibs.store.ops.jobs import job_get
from dibs.store.ops.limit_keys import KeyUse, read_uses
from dibs.store.ops.pauses import read_pause
from dibs.store.ops.queues import queue_get
from dibs.store.ops.workers import WorkerRecord, worker_list
from dibs.store.statement import RowList, Rows, Statement, Steps, operation


@dataclass(frozen=True, slots=True)
class TenantLine:
    """Where a job of a fair queue stands that waits for the turn of its tenant."""

    tenant: str | None
    """The value of the arg that names it; None for jobs without that arg."""
    ahead: int
    """Jobs of the tenant that go first."""
    tenants: int
    """Tenants of the queue that have jobs waiting."""


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
    queue_paused: Pause | None = None
    kind_paused: Pause | None = None
    moved: list[tuple[int, int, int]] = field(default_factory=list)
    """Per priority of its queue: ended attempts, and the minute of the first of them."""
    priorities: list[int] = field(default_factory=list)
    """The priorities of which its queue has ready jobs, and that workers take who can run it."""
    ahead: dict[int, int] | None = None
    """How many of each are ahead of it; None where it stands in no line."""
    limit: KeyUse | None = None
    """The key of a limit, or of its queue's concurrency, under which it needs room."""
    tenant: TenantLine | None = None
    """Set where it waits for the turn of its tenant."""


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
    kind_paused = yield from read_pause("kind", job.kind)
    moved = yield Statement("queue_moved", {"queue": job.queue, "since": window_start(now)})
    keys = yield from _keys(job, queue.policy)
    limit = yield from _limit(keys)
    tenant = yield from _tenant(job, keys, most)
    front = yield from line_fronts(Serving((job.queue,)), paused=True).steps()
    able = [one for one in workers if not obstacle_at(one, job.queue, job.kind, job.priority)]
    priorities = within((line.priority for line in front.lines), able)
    ahead = None
    if job.state is State.READY:
        mine = Spot(job.priority, to_micros(job.scheduled_at), job.id)
        table = Rows(Spot._fields, bounds(priorities, queue.policy, mine, now))
        counted = {"queue": job.queue, "bounds": table, "most": most + 1}
        ahead = {row[0]: row[1] for row in (yield Statement("jobs_ahead", counted))}
    return Standing(
        now, job, workers, held, lost, queue.policy, queue.paused, kind_paused,
        [(row[0], row[1], row[2]) for row in moved], priorities, ahead, limit, tenant,
    )  # fmt: skip


def _keys(job: Job, policy: QueuePolicy) -> Generator[Statement, RowList, list[str]]:
    """Return the keys under which a job waits, or needs room when it is claimed."""
    if job.state is State.READY:
        return [] if policy.concurrency is None else [QUEUE + job.queue]
    rows = yield Statement("blocked_key", {"id": job.id})
    return [key for (key,) in rows]


def _limit(keys: Iterable[str]) -> Generator[Statement, RowList, KeyUse | None]:
    """Return where a job needs room, if it does."""
    counted = [key for key in keys if key.startswith((LIMIT, QUEUE))]
    return next(iter((yield from read_uses(counted))), None)


def _tenant(
    job: Job, keys: Iterable[str], most: int
) -> Generator[Statement, RowList, TenantLine | None]:
    """Return where a job stands that waits for the turn of its tenant, if it does."""
    for key in keys:
        if key.startswith(FAIR):
            spot = {"priority": job.priority, "scheduled_at": to_micros(job.scheduled_at)}
            line = {"key": key, "queue": job.queue, "id": job.id, "most": most, **spot}
            [[ahead, tenants]] = yield Statement("fair_standing", line)
            return TenantLine(tenant_of(key)[1], ahead, tenants)
    return None
