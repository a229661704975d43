"""Dead letters: jobs that were given up, what people noted about them, and how to pick some."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, fields
from datetime import datetime
from typing import TypedDict

from dibs.errors import DibsError, KeyInUseError
from dibs.model.job import DeadReason, Job, check_name
from dibs.model.times import to_micros

TEXT_LIMIT = 10_000
"""Longest note, author or error text to look for, in characters."""
MINUTE = 60_000_000
"""Microseconds."""
MOST_PER_MINUTE = 1_000_000


@dataclass(frozen=True, slots=True)
class Note:
    """What somebody wrote about a dead letter; it stays with the job when that is replayed."""

    at: datetime
    author: str | None
    text: str


@dataclass(frozen=True, slots=True)
class DeadLetter:
    """A job that was buried, with what has become known about it since."""

    job: Job
    """The job itself: kind, args, attempts, last error."""
    reason: DeadReason
    died_at: datetime
    reviewed_at: datetime | None
    """When somebody marked it as reviewed; None where nobody has."""
    reviewed_by: str | None
    notes: list[Note]
    """The oldest first."""


class DeadFilters(TypedDict, total=False):
    """What dead letters may be picked by; all that is given has to hold."""

    kind: str
    """Of this kind."""
    queue: str
    """Of this queue."""
    reason: DeadReason | str
    """Buried for this reason."""
    error: str
    """The last error holds this text; upper and lower case are the same from A to Z."""
    died_before: datetime
    """Died before this aware moment."""
    died_after: datetime
    """Died at this aware moment or later."""
    reviewed: bool | None
    """True: only reviewed ones; False: only the others; None: all, the default."""


@dataclass(frozen=True, slots=True, kw_only=True)
class DeadFilter:
    """Which dead letters are meant: those for which everything given holds."""

    kind: str | None = None
    queue: str | None = None
    reason: DeadReason | str | None = None
    error: str | None = None
    died_before: datetime | None = None
    died_after: datetime | None = None
    reviewed: bool | None = None

    def __post_init__(self) -> None:
        """Check the values.

        Raises:
            InvalidJobError: what cannot be a name, or a moment that is no aware datetime.
            DibsError: an unknown reason, an empty text, or another value that cannot be.
        """
        for name, value in (("kind", self.kind), ("queue", self.queue)):
            if value is not None:
                check_name(value, name)
        if self.reason is not None:
            object.__setattr__(self, "reason", _reason(self.reason))
        if self.error is not None:
            check_text(self.error, "error")
        for name in ("died_before", "died_after"):
            if (moment := getattr(self, name)) is not None:
                to_micros(moment, name)
        if self.reviewed is not None and not isinstance(self.reviewed, bool):
            raise DibsError(f"reviewed={self.reviewed!r}: expected True, False or None")

    @property
    def empty(self) -> bool:
        """Whether it lets every dead letter through."""
        return all(getattr(self, field.name) is None for field in fields(self))


def make_filter(given: DeadFilters) -> DeadFilter:
    """Return the filter that keyword arguments mean.

    Raises:
        DibsError: one that is unknown, or a value that cannot be.
    """
    if unknown := given.keys() - DeadFilters.__annotations__.keys():
        known = ", ".join(DeadFilters.__annotations__)
        raise DibsError(f"unknown filter {min(unknown)!r}: expected one of {known}")
    return DeadFilter(**given)


def _reason(reason: str) -> DeadReason:
    try:
        return DeadReason(reason)
    except ValueError as error:
        known = ", ".join(DeadReason)
        raise DibsError(f"reason={reason!r}: expected one of {known}") from error


@dataclass(frozen=True, slots=True)
class Refused:
    """A dead letter, or what was taken for one, that was left as it is."""

    job_id: int
    error: DibsError
    """Why: `JobNotFoundError`, `JobStateError` or `KeyInUseError`."""

    def __str__(self) -> str:
        """Say why."""
        return str(self.error)


@dataclass(frozen=True, slots=True)
class DeadResult:
    """What became of dead letters that were to be replayed, reviewed or purged."""

    done: int
    """With how many it was done."""
    refused: tuple[Refused, ...] = ()
    """The others, each with its reason."""


def refused_for_key(job_id: int, holder: int | None) -> Refused:
    """Return the refusal of a replay whose unique key is taken."""
    return Refused(job_id, KeyInUseError(job_id, holder))


def spread(per_minute: int | None) -> int:
    """Return the microseconds between two replays, so that at most `per_minute` start in a minute.

    Raises:
        DibsError: not a number from 1 to a million.
    """
    if per_minute is None:
        return 0
    if (
        isinstance(per_minute, bool)
        or not isinstance(per_minute, int)
        or not 1 <= per_minute <= MOST_PER_MINUTE
    ):
        raise DibsError(
            f"per_minute={per_minute!r}: expected a whole number from 1 to {MOST_PER_MINUTE}"
        )
    return -(-MINUTE // per_minute)


def check_text(text: str, name: str) -> str:
    """Return a text that both engines can store.

    Raises:
        DibsError: not text, empty, too long, or with characters that no database takes.
    """
    if not isinstance(text, str) or not text.strip():
        raise DibsError(f"{name}={text!r}: expected text that is not empty")
    if len(text) > TEXT_LIMIT:
        raise DibsError(f"{name}: {len(text)} characters; expected at most {TEXT_LIMIT}")
    if any(char == "\0" or "\ud800" <= char <= "\udfff" for char in text):
        raise DibsError(f"{name}={text!r}: expected text without null characters and surrogates")
    return text


def distinct(job_ids: int | Iterable[int]) -> list[int]:
    """Return one id, or each of several once, in the order given.

    Raises:
        DibsError: something that is no id.
    """
    if isinstance(job_ids, int) or not isinstance(job_ids, Iterable):
        job_ids = [job_ids]
    found = list(dict.fromkeys(job_ids))
    for job_id in found:
        if isinstance(job_id, bool) or not isinstance(job_id, int):
            raise DibsError(f"job id {job_id!r}: expected an integer")
    return found
