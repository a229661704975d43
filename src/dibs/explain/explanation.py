"""`Explanation`: where a job stands, what it waits for, and when it may start."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta

from dibs.explain.words import told
from dibs.model.job import WAITING, State
from dibs.model.standing import Pace, pace_of, share_of, start_after, within
from dibs.model.times import from_micros
from dibs.model.verdicts import Verdict, judge, obstacle_at, obstacle_of
from dibs.store.ops.explain import Standing, job_standing
from dibs.store.ops.workers import WorkerRecord
from dibs.store.statement import Steps, operation

MOST = 10_000
"""Jobs ahead of one that are counted, by default."""


@dataclass(frozen=True, slots=True)
class Candidate:
    """A live worker, and whether it can run the job."""

    worker: WorkerRecord
    obstacle: Verdict | None
    """What keeps it from this job: its queues, its kinds or its priorities."""
    free: int
    """Its slots that hold no job; some may be kept for urgent ones."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Explanation:
    """Why a job is not running, as of one moment; `str()` tells it in plain words."""

    at: datetime
    id: int
    kind: str
    queue: str
    state: State
    verdict: Verdict
    """Why it is not running, in a word for programs."""
    obstacle: Verdict | None
    """Why nobody would start it as things are, also while its time has not come."""
    priority: int
    effective_priority: int
    """The priority that counts now, by the aging of its queue."""
    scheduled_at: datetime
    due_in: timedelta | None
    """How long until it may start; negative when it is overdue. None unless it is scheduled."""
    waited: timedelta | None
    """How long it could have started already; None unless it is due and waits."""
    ahead: int | None
    """Ready jobs of its queue that are to start before it, of its own level under weights; None
    where it stands in no line."""
    ahead_in_line: int | None
    """Those of them that have its own priority; None where not all were counted."""
    ahead_more: bool
    """There are more ahead of it than were counted."""
    share: float | None
    """Which part of its queue's turns its level gets, where the queue has weights."""
    pace: Pace | None
    """How fast its queue and its line moved lately; None unless it waits."""
    starts_in: timedelta | None
    """In how long it starts, about, if none comes in that goes before it; None if unknown."""
    candidates: list[Candidate]
    """The live workers, the oldest first; none where the job has ended."""
    attempt: int
    max_attempts: int
    crashes: int
    started_at: datetime | None
    finished_at: datetime | None
    worker: str | None
    """Who runs it, or ran it last."""
    reason: str | None
    """Why it is blocked, cancelled or dead."""
    error: str | None
    """The last error, if any attempt failed."""

    @property
    def sentences(self) -> list[str]:
        """The explanation in plain words, a sentence or two each."""
        return told(self)

    def __str__(self) -> str:
        return "\n".join(self.sentences)


@operation(reads=True)
def job_explain(job_id: int, most: int) -> Steps[Explanation]:
    """Return why a job is not running.

    Raises:
        JobNotFoundError: no job has this id.
    """
    found = yield from job_standing(job_id, most).steps()
    return _explanation(found, most)


def _explanation(found: Standing, most: int) -> Explanation:
    job, at = found.job, from_micros(found.now)
    waits = job.state in WAITING
    due_in = job.scheduled_at - at if job.state is State.SCHEDULED else None
    due = due_in is None or due_in <= timedelta(0)
    waited = max(at - job.scheduled_at, timedelta(0)) if waits and due else None
    candidates = [_candidate(worker, found) for worker in found.workers]
    obstacle = obstacle_of([one.obstacle for one in candidates]) if waits else None
    counted = None if found.ahead is None else sum(found.ahead.values())
    more = counted is not None and counted > most
    ahead = most if more else counted
    share = share_of(job.priority, found.policy, found.priorities) if waits else None
    free = sum(one.free for one in candidates if one.obstacle is None)
    verdict = judge(
        job.state,
        due=due,
        obstacle=obstacle,
        next_up=ahead is not None and ahead < free * (1 if share is None else share),
        lost=job.worker in found.lost,
    )
    pace = pace_of(found.moved, job.priority, found.now) if waits else None
    able = [one.worker for one in candidates if one.obstacle is None]
    reached = within((priority for priority, *_ in found.moved), able)
    speed = pace_of([row for row in found.moved if row[0] in reached], job.priority, found.now)
    return Explanation(
        at=at,
        id=job.id,
        kind=job.kind,
        queue=job.queue,
        state=job.state,
        verdict=verdict,
        obstacle=obstacle,
        priority=job.priority,
        effective_priority=job.effective_priority,
        scheduled_at=job.scheduled_at,
        due_in=due_in,
        waited=waited,
        ahead=ahead,
        ahead_in_line=None if found.ahead is None or more else found.ahead.get(job.priority, 0),
        ahead_more=more,
        share=share,
        pace=pace,
        starts_in=_starts_in(verdict, ahead, speed, share),
        candidates=candidates,
        attempt=job.attempt,
        max_attempts=job.max_attempts,
        crashes=job.crashes,
        started_at=job.started_at,
        finished_at=job.finished_at,
        worker=job.worker,
        reason=job.reason,
        error=job.error,
    )


def _candidate(worker: WorkerRecord, found: Standing) -> Candidate:
    job = found.job
    return Candidate(
        worker,
        obstacle_at(worker, job.queue, job.kind, job.priority),
        max(0, worker.concurrency - found.held.get(worker.id, 0)),
    )


def _starts_in(
    verdict: Verdict, ahead: int | None, speed: Pace, share: float | None
) -> timedelta | None:
    if verdict is Verdict.ABOUT_TO_START:
        return timedelta(0)
    if verdict is not Verdict.IN_LINE or ahead is None:
        return None
    return start_after(ahead, speed, share)
