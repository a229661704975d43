"""Every transition of a job, in one place.

    enqueue ──due now──────────────► ready ◄───────── admit ── blocked
       │                            ▲  │  └── block (unknown kind, limit) ▲
       └──due later─► scheduled ────┘  │
                      ▲      promote   │ claim
                      │                ▼
     retry, snooze    └───────────── running ── complete ──► completed
     release, rescue (back to ready) ─┘ │ └──── cancel ────► cancelled ◄── cancel ── waiting
                                        └────── bury ──────► dead ── replay ──► ready, scheduled

A job with limits, which has to wait for its turn, is blocked wherever it would be ready; but what
has run once comes back ready, and a claim decides.

Waiting is scheduled, blocked or ready; rescheduling moves a job between these. Only the holder of
a job's valid claim moves a running job, with one exception: rescue, which takes the jobs of workers
whose lease has run out. Ended jobs never change, but for the dead, which a replay brings back. What
a running job's outcome leads to is decided here, without I/O; the store carries it out, guarded by
the claim.
"""

from __future__ import annotations

from dataclasses import dataclass
from random import Random

from dibs.model.job import WAITING, AttemptOutcome, DeadReason, State
from dibs.model.retry import Retry

TRANSITIONS: dict[str, tuple[frozenset[State], frozenset[State]]] = {
    "enqueue": (frozenset(), frozenset({State.READY, State.SCHEDULED, State.BLOCKED})),
    "promote": (frozenset({State.SCHEDULED}), frozenset({State.READY, State.BLOCKED})),
    "block": (frozenset({State.READY}), frozenset({State.BLOCKED})),
    "admit": (frozenset({State.BLOCKED}), frozenset({State.READY})),
    "claim": (frozenset({State.READY}), frozenset({State.RUNNING})),
    "complete": (frozenset({State.RUNNING}), frozenset({State.COMPLETED})),
    "retry": (frozenset({State.RUNNING}), frozenset({State.READY, State.SCHEDULED})),
    "snooze": (frozenset({State.RUNNING}), frozenset({State.READY, State.SCHEDULED})),
    "release": (frozenset({State.RUNNING}), frozenset({State.READY})),
    "rescue": (frozenset({State.RUNNING}), frozenset({State.READY, State.DEAD})),
    "bury": (frozenset({State.RUNNING}), frozenset({State.DEAD})),
    "reschedule": (WAITING, WAITING),
    "replay": (
        frozenset({State.DEAD}),
        frozenset({State.READY, State.SCHEDULED, State.BLOCKED}),
    ),
    "cancel": (WAITING | {State.RUNNING}, frozenset({State.CANCELLED})),
}
"""Every verb that moves a job: the states it may start from, and the states it may lead to."""


@dataclass(frozen=True, slots=True)
class Claim:
    """The right to settle one attempt of one job; a newer claim makes it void."""

    job_id: int
    number: int
    """Only grows, per job, over attempts, releases and rescues."""
    worker: str
    """Who holds it: in a database that was replaced, id and number may be another attempt's."""
    attempt: int
    """Which counted attempt this is, from 1."""
    max_attempts: int
    counted: bool = True
    """Whether the job may hold slots of limits, which its end frees."""


# --- Outcomes: how an attempt ended --------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Returned:
    """The handler returned `result` (JSON text, or None)."""

    result: str | None = None


@dataclass(frozen=True, slots=True)
class Failed:
    """The handler raised, or could not be run."""

    error_type: str
    message: str
    traceback: str = ""
    final: DeadReason | None = None
    """Set where no further attempt shall be made: bury at once, for this reason."""
    errors: tuple[str, ...] = ()
    """The names of the exception's class and its bases, for the rules of a retry."""
    retry_after: int | None = None
    """The delay that the exception itself named, in microseconds."""
    timed_out: bool = False
    """Whether it was ended because it took too long."""
    hold: str | None = None
    """The key of a limit under which nothing starts before `retry_after` is over."""


@dataclass(frozen=True, slots=True)
class Snoozed:
    """The handler asked to be run again after `delay` microseconds; costs no attempt."""

    delay: int


@dataclass(frozen=True, slots=True)
class CalledOff:
    """The handler called its own job off, or ended because somebody cancelled it."""

    reason: str | None = None


@dataclass(frozen=True, slots=True)
class Interrupted:
    """The worker stopped before the attempt ended, or never began it; costs no attempt."""

    began: bool = False
    """Whether the handler had been called."""


@dataclass(frozen=True, slots=True)
class WorkerLost:
    """The worker's lease ran out during the attempt; counts as a crash, not as an attempt."""

    crashes: int
    """How often that happened to this job before."""
    max_crashes: int


Outcome = Returned | Failed | Snoozed | CalledOff | Interrupted | WorkerLost


# --- Settlements: where the job goes -------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Finish:
    """The job ended well or was called off; it leaves the live tables."""

    claim: Claim
    state: State
    result: str | None = None
    reason: str | None = None


@dataclass(frozen=True, slots=True)
class Requeue:
    """The job will run again."""

    claim: Claim
    verb: str
    """`retry`, `snooze`, `release` or `rescue`."""
    delay: int | None
    """Microseconds until it may start; None keeps its old place in its line."""
    counted: bool
    """Whether the attempt stays counted."""
    record: AttemptOutcome | None
    """What the record of the attempt says; None where the handler was never called."""
    crashed: bool = False
    failure: Failed | None = None


@dataclass(frozen=True, slots=True)
class Bury:
    """The job goes to the dead letters."""

    claim: Claim
    reason: DeadReason
    failure: Failed
    record: AttemptOutcome = AttemptOutcome.FAILED
    crashed: bool = False


Settlement = Finish | Requeue | Bury


def settle(claim: Claim, outcome: Outcome, retry: Retry, chance: Random) -> Settlement:
    """Decide where a job goes after an attempt ended with `outcome`.

    Args:
        claim: the attempt that ended.
        outcome: how it ended.
        retry: the rules for another attempt.
        chance: source of the backoff's jitter.

    Raises:
        Exception: whatever a backoff function of the user's own raises.
    """
    match outcome:
        case Returned(result):
            return Finish(claim, State.COMPLETED, result=result)
        case CalledOff(reason):
            return Finish(claim, State.CANCELLED, reason=reason)
        case Snoozed(delay):
            return Requeue(claim, "snooze", delay, counted=False, record=AttemptOutcome.SNOOZED)
        case Interrupted(began):
            record = AttemptOutcome.RELEASED if began else None
            return Requeue(claim, "release", None, counted=False, record=record)
        case Failed():
            return _after_failure(claim, outcome, retry, chance)
        case WorkerLost():
            return _after_crash(claim, outcome)


def _after_failure(claim: Claim, failure: Failed, retry: Retry, chance: Random) -> Settlement:
    record = AttemptOutcome.TIMED_OUT if failure.timed_out else AttemptOutcome.FAILED
    if failure.final is not None:
        return Bury(claim, failure.final, failure, record)
    if retry.gives_up(failure.errors):
        return Bury(claim, DeadReason.GAVE_UP, failure, record)
    if claim.attempt >= claim.max_attempts:
        exhausted = DeadReason.ATTEMPTS_EXHAUSTED
        return Bury(claim, DeadReason.TIMEOUT if failure.timed_out else exhausted, failure, record)
    delay = failure.retry_after
    if delay is None:
        delay = retry.delay(claim.attempt, chance)
    return Requeue(claim, "retry", delay, counted=True, record=record, failure=failure)


def _after_crash(claim: Claim, lost: WorkerLost) -> Settlement:
    crashes, record = lost.crashes + 1, AttemptOutcome.CRASHED
    if crashes < lost.max_crashes:
        return Requeue(claim, "rescue", None, counted=False, record=record, crashed=True)
    failure = Failed("WorkerDied", f"its worker died {crashes} times while running it")
    return Bury(claim, DeadReason.WORKER_DIED, failure, record, crashed=True)
