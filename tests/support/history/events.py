"""What a history consists of: events that processes told, and the database's last word."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import NamedTuple


class What(StrEnum):
    """What an event tells."""

    ACKNOWLEDGED = "acknowledged"
    """An enqueue was committed, and its caller knows it."""
    ROLLED_BACK = "rolled_back"
    """An enqueue's transaction was rolled back; only `tag` tells which."""
    CLAIMED = "claimed"
    BEGAN = "began"
    """A handler began: from here on it may have had effects."""
    LEFT = "left"
    """A handler came to its end, in whatever way."""
    SETTLED = "settled"
    """A settlement took effect; `to` says where it led."""
    REFUSED = "refused"
    """A settlement came too late and changed nothing."""
    RESCUED = "rescued"
    """`worker`'s claim was taken from it, by somebody else."""
    DOUBTFUL = "doubtful"
    """An operation failed, so that nobody knows whether it was committed: a settlement of one
    claim, or any other operation, whose name stands in `to`."""
    KILLED = "killed"
    """A worker died: what it did last, it may have told nobody."""
    CUT = "cut"
    """From now on a worker may lose its lease while it lives; without a worker, any of them."""
    MENDED = "mended"
    """What was done to the system is over; with a worker, as far as that is concerned."""
    FAULT = "fault"
    """Anything else that was done to the system."""


ENDS = frozenset({"completed", "cancelled", "dead"})
"""Where settlements and rescues lead that end a job; others are retry, snooze, release, rescue."""


class Event(NamedTuple):
    """One thing that happened; which fields it has depends on `what`."""

    what: What
    at: int
    """When it was known, in nanoseconds of the machine's monotonic clock."""
    asked: int
    """When it was asked for: it happened between then and `at`."""
    job: int = 0
    claim: int = 0
    """The claim's number; 0 where it is not known, as by handlers."""
    attempt: int = 0
    worker: str = ""
    to: str = ""
    line: str = ""
    """Of a claim: the job's queue and priority."""
    due: int = 0
    """Of a claim: since when the job may start, by the database's clock, in microseconds."""
    tag: str = ""
    """What an enqueue wrote into the args, so that its job is known without its id."""


@dataclass(frozen=True, slots=True)
class Record:
    """The database's last word on a job."""

    job: int
    places: tuple[str, ...]
    """Where it stands; an ended job stands in `completed` or `cancelled`."""
    attempt: int
    max_attempts: int
    crashes: int
    worker: str = ""
    """Who ended it; nobody, where it waits or was cancelled while it waited."""
    claim: int | None = None
    """The number of its last claim; None where the record doesn't tell."""
    reason: str = ""
    failed: frozenset[int] = frozenset()
    """The claims under which an attempt failed."""
    tag: str = ""

    @property
    def ended(self) -> bool:
        """Whether it ended, and nothing else."""
        return len(self.places) == 1 and self.places[0] in ENDS


@dataclass(frozen=True, slots=True)
class History:
    """All that was told of a run."""

    events: Sequence[Event]
    records: Mapping[int, Record]
    at_rest: bool = True
    """Whether the run went on until every job should have ended."""


class Rule(StrEnum):
    """What must not happen; the numbers are those of the project's invariants."""

    PLACE = "1: a job is in exactly one place"
    LOST = "2: no acknowledged enqueue is lost"
    GHOST = "2: what was rolled back never exists"
    OVERLAP = "3: at most one claim is valid"
    AFTER_END = "3: ended jobs never change"
    UNENDED = "4: every job ends"
    ATTEMPTS = "5: attempts are counted right"
    ORDER = "6: claims take the heads of lines"
    REPEATED = "a handler runs again only where a claim was lost or an attempt failed"


class Violation(NamedTuple):
    """A rule that a history breaks, and how."""

    rule: Rule
    job: int
    text: str

    def __str__(self) -> str:
        return f"[{self.rule}] job {self.job} {self.text}"
