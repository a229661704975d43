"""What every worker does beside its jobs: beating, promoting, rescuing, hearing of cancels."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from random import Random

from dibs.model.lifecycle import Claim, Settlement, WorkerLost, settle
from dibs.model.lines import Serving
from dibs.model.retry import Retry
from dibs.model.times import from_micros
from dibs.store.ops.claimed import Key
from dibs.store.ops.front import lines_of
from dibs.store.ops.settle import job_settle
from dibs.store.statement import Row, Statement, Steps, operation
from dibs.telemetry import Ages

BATCH = 1000
"""Jobs promoted or rescued per transaction."""
FORGET_AFTER = 3600 * 1_000_000
"""Microseconds after the end of its lease until a lost worker's row is dropped."""


def silence_of(lease: int) -> int:
    """Return for how long nobody is heard of where not the workers but the database was away.

    A lease is three heartbeats or more. So a worker that lives, if alone, is never silent for so
    long; and one that lives and could not beat in time has a lease that ends later than this.
    """
    return lease * 2 // 3


@dataclass(frozen=True, slots=True)
class LoopRecord:
    """One of a worker's loops, as of its last heartbeat."""

    succeeded_at: datetime | None
    """When it last succeeded, by the database's clock; None before the first time."""
    late: timedelta
    """How long ago it should have succeeded again; 0 while it is in time."""


@dataclass(frozen=True, slots=True)
class WorkerRecord:
    """A worker as the database knows it."""

    id: str
    queues: tuple[str, ...]
    lowest: int
    """The lowest priority that it takes."""
    highest: int
    kinds: tuple[str, ...]
    concurrency: int
    reserve: Mapping[int, int]
    """Slots kept for jobs from a priority on."""
    leaked: int
    """Handlers that it left behind when their time was up, and that still run."""
    started_at: datetime
    beat_at: datetime
    expires_at: datetime
    """When its lease runs out, without another heartbeat."""
    loops: Mapping[str, LoopRecord] = field(default_factory=dict)
    """How its loops were doing at its last heartbeat."""
    skew: timedelta = timedelta(0)
    """Its clock minus the database's; the way to the database counts against it."""


@dataclass(frozen=True, slots=True)
class CallOff:
    """A request to cancel a job that runs."""

    key: Key
    reason: str | None


@operation()
def worker_beat(
    worker: str,
    serving: Serving,
    kinds: Sequence[str],
    concurrency: int,
    reserve: Mapping[int, int],
    lease: int,
    leaked: int = 0,
    loops: Mapping[str, Ages] | None = None,
    wall: int | None = None,
) -> Steps[None]:
    """Keep `worker` alive for `lease` microseconds more; the first beat registers it.

    It is in everybody's favour where nobody could beat for a while: all are given as much time to
    be heard of again.

    Args:
        worker: its id.
        serving: which lines it serves.
        kinds: what it can run.
        concurrency: how many slots it has.
        reserve: slots kept for jobs from a priority on.
        lease: microseconds.
        leaked: handlers that it left behind, and that still run.
        loops: how each of its loops is doing.
        wall: the time by its own clock, in microseconds; None takes the database's for it.
    """
    yield Statement(
        "worker_beat",
        {
            "worker": worker,
            "queues": json.dumps(list(serving.queues)),
            "lowest": serving.lowest,
            "highest": serving.highest,
            "kinds": json.dumps(list(kinds)),
            "concurrency": concurrency,
            "reserve": json.dumps(dict(reserve)),
            "leaked": leaked,
            "lease": lease,
            "silence": silence_of(lease),
            "loops": json.dumps({name: _rounded(ages) for name, ages in (loops or {}).items()}),
            "wall": wall,
        },
        alone=True,
    )


@operation()
def worker_leave(worker: str) -> Steps[None]:
    """Remove a worker that stopped and holds no job."""
    yield Statement("worker_leave", {"worker": worker}, alone=True)


def _rounded(ages: Ages) -> list[float | None]:
    """Return ages to the millisecond: as of a beat, whose own way takes longer."""
    return [None if age is None else round(age, 3) for age in ages]


@operation(reads=True)
def worker_list(lost_for: int = 0) -> Steps[list[WorkerRecord]]:
    """Return the workers whose lease has not run out `lost_for` microseconds ago, oldest first."""
    rows = yield Statement("worker_list", {"lost_for": lost_for}, alone=True)
    return [_worker(row) for row in rows]


def _worker(row: Row) -> WorkerRecord:
    id_, queues, lowest, highest, kinds, concurrency, reserve, leaked, *rest = row
    *moments, loops, skew = rest
    started_at, beat_at, expires_at = map(from_micros, moments)
    return WorkerRecord(
        id=id_,
        queues=tuple(json.loads(queues)),
        lowest=lowest,
        highest=highest,
        kinds=tuple(json.loads(kinds)),
        concurrency=concurrency,
        reserve={int(limit): slots for limit, slots in json.loads(reserve).items()},
        leaked=leaked,
        started_at=started_at,
        beat_at=beat_at,
        expires_at=expires_at,
        loops={name: _loop(beat_at, Ages(*ages)) for name, ages in json.loads(loops).items()},
        skew=timedelta(microseconds=skew),
    )


def _loop(beat_at: datetime, ages: Ages) -> LoopRecord:
    ago = ages.succeeded
    succeeded_at = None if ago is None else beat_at - timedelta(seconds=ago)
    return LoopRecord(succeeded_at, timedelta(seconds=ages.late))


@operation(reads=True)
def job_due() -> Steps[int | None]:
    """Return the microseconds until the next scheduled job is due; negative when overdue."""
    due: int | None = (yield Statement("job_due", {}, alone=True))[0][0]
    return due


@operation(reads=True)
def watch_probe(serving: Serving) -> Steps[tuple[bool, int | None]]:
    """Return whether `serving` has a ready job, and when the next scheduled job is due.

    Only for SQLite, which cannot tell by itself.
    """
    ready, due = (yield Statement("watch_probe", lines_of(serving), alone=True))[0]
    return bool(ready), due


@operation()
def job_promote() -> Steps[list[str]]:
    """Make scheduled jobs whose time has come ready; return the queue of each."""
    rows = yield Statement("job_promote", {"count": BATCH}, alone=True)
    return [row[0] for row in rows]


@operation()
def job_rescue(max_crashes: int, lease: int) -> Steps[list[Settlement]]:
    """Take running jobs from workers whose lease ran out, and return what became of each.

    A job goes back to its place in the line; one that somebody asked to cancel ends instead, and
    one whose workers died `max_crashes` times is buried.

    Args:
        max_crashes: how often the workers of a job may die.
        lease: that of the rescuer, in microseconds. Where nobody was heard of for most of it,
            nobody is rescued: the next heartbeat tells who lives.
    """
    silence = silence_of(lease)
    yield Statement("worker_forget", {"grace": FORGET_AFTER, "silence": silence})
    rows = yield Statement("job_stale", {"count": BATCH, "silence": silence})
    if not rows:
        return []
    ends = [_settlement(Claim(*claim), crashes, max_crashes) for *claim, crashes in rows]
    settled = yield from job_settle(ends).steps()
    return [settled.became(end) for end in ends if end.claim.job_id in settled.moved]


def _settlement(claim: Claim, crashes: int, max_crashes: int) -> Settlement:
    # Neither rules nor chance matter to a rescue: the job was not at fault, it goes back.
    return settle(claim, WorkerLost(crashes, max_crashes), Retry(), Random(0))


@operation(reads=True)
def job_called_off(worker: str) -> Steps[list[CallOff]]:
    """Return what `worker` runs that somebody wants cancelled."""
    rows = yield Statement("job_called_off", {"worker": worker}, alone=True)
    return [CallOff((job_id, claim), reason) for job_id, claim, reason in rows]


@operation(reads=True)
def job_held(worker: str) -> Steps[list[Claim]]:
    """Return the claims that `worker` holds, by the database's word."""
    rows = yield Statement("job_held", {"worker": worker}, alone=True)
    return [Claim(*row) for row in rows]
