"""`Explanation`: where a job stands, what it waits for, and when it may start."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime, timedelta

from dibs.explain.words import told
from dibs.model.job import WAITING, Job, State
from dibs.model.pauses import Pause
from dibs.model.slots import Slots
from dibs.model.standing import Pace, pace_of, share_of, start_after, within
from dibs.model.times import from_micros
from dibs.model.verdicts import Verdict, judge, obstacle_at, obstacle_of
from dibs.store.ops.explain import Standing, TenantLine, job_standing
from dibs.store.ops.limit_keys import KeyUse
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
    """Its slots that the job could use now: those that hold no job and are not kept for others."""
    kept: int
    """Its slots that hold no job, but are reserved for more urgent ones than this."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Explanation:
    """Why a job is not running, as of one moment; `str()` tells it in plain words."""

    at: datetime
    """The database's time when it looked."""
    job: Job
    """As it was then."""
    verdict: Verdict
    """Why it is not running, in a word for programs."""
    obstacle: Verdict | None
    """Why nobody would start it as things are, also while its time has not come."""
    pause: Pause | None
    """That of its queue or kind, where this is the obstacle."""
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
    limit: KeyUse | None
    """Where it needs room before it starts: under a key of a limit, or in its queue, where only so
    many of its jobs run at once. None where it needs none."""
    tenant: TenantLine | None
    """Where it stands in a fair queue while it waits for the turn of its tenant; else None."""
    candidates: list[Candidate]
    """The live workers, the oldest first; none where the job has ended."""

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
    candidates = [_candidate(worker, found) for worker in found.workers]
    obstacle, pause = _obstacle(found, candidates) if waits else (None, None)
    ahead, ahead_in_line, more = _ahead(found, most)
    share = share_of(job.priority, found.policy, found.priorities) if waits else None
    able = [one for one in candidates if one.obstacle is None]
    free = sum(one.free for one in able)
    verdict = judge(
        job.state,
        due=due,
        obstacle=obstacle,
        next_up=ahead is not None and ahead < free * (1 if share is None else share),
        lost=job.worker in found.lost,
        full=found.limit is not None and found.limit.full,
        tenant=found.tenant is not None,
    )
    return Explanation(
        at=at,
        job=job,
        verdict=verdict,
        obstacle=obstacle,
        pause=pause,
        due_in=due_in,
        waited=max(at - job.scheduled_at, timedelta(0)) if waits and due else None,
        ahead=ahead,
        ahead_in_line=ahead_in_line,
        ahead_more=more,
        share=share,
        pace=pace_of(found.moved, job.priority, found.now) if waits else None,
        starts_in=_starts_in(found, able, verdict, ahead, share),
        limit=found.limit,
        tenant=found.tenant,
        candidates=candidates,
    )


def _obstacle(
    found: Standing, candidates: Iterable[Candidate]
) -> tuple[Verdict | None, Pause | None]:
    """Return why nobody would start the job, and the pause where it is one."""
    for verdict, pause in (
        (Verdict.QUEUE_PAUSED, found.queue_paused), (Verdict.KIND_PAUSED, found.kind_paused)
    ):  # fmt: skip
        # A pause that is over before the job may start is not in its way.
        if pause is not None and (pause.until is None or pause.until > found.job.scheduled_at):
            return verdict, pause
    return obstacle_of([one.obstacle for one in candidates]), None


def _candidate(worker: WorkerRecord, found: Standing) -> Candidate:
    job = found.job
    slots = Slots(worker.concurrency, worker.reserve)
    slots.hold(found.held.get(worker.id, {}))
    free = slots.room(job.priority)
    obstacle = obstacle_at(worker, job.queue, job.kind, job.priority)
    return Candidate(worker, obstacle, free, slots.free - free)


def _ahead(found: Standing, most: int) -> tuple[int | None, int | None, bool]:
    """Return how many are ahead, how many of them in its line, and whether there are more."""
    if found.ahead is None:
        return None, None, False
    counted = sum(found.ahead.values())
    if counted > most:
        return most, None, True
    return counted, found.ahead.get(found.job.priority, 0), False


def _starts_in(
    found: Standing,
    able: Iterable[Candidate],
    verdict: Verdict,
    ahead: int | None,
    share: float | None,
) -> timedelta | None:
    if verdict is Verdict.ABOUT_TO_START:
        return timedelta(0)
    if verdict is not Verdict.IN_LINE or ahead is None:
        return None
    reached = within((line for line, *_ in found.moved), [one.worker for one in able])
    moved = [row for row in found.moved if row[0] in reached]
    return start_after(ahead, pace_of(moved, found.job.priority, found.now), share)
