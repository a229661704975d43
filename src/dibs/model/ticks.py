"""Which of the ticks that are due get a job: late ones, and those that overlap; pure."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from enum import StrEnum
from itertools import takewhile
from typing import ClassVar, Self

from dibs.errors import InvalidScheduleError
from dibs.model.times import SECOND
from dibs.model.timing import Timing

GRACE = 60 * SECOND
"""Microseconds that a tick may come late, if no other has come due since, and is not missed."""
COUNTED = 1000
"""Ticks that are made up for, or counted, at once; of more only the newest are looked at."""
WINDOW = 3600 * SECOND
"""Where the newest ticks are looked for first; then in four times as much, and so on."""


@dataclass(frozen=True, slots=True)
class Missed:
    """What becomes of ticks that no worker fired in time, because none ran or none could.

    A tick is missed when the next one is due as well, or when it is more than a minute late.

    Example:
        >>> Missed.ONCE, Missed.SKIP, Missed.all(100)
        (Missed.ONCE, Missed.SKIP, Missed.all(100))
    """

    how: str
    most: int = 1

    SKIP: ClassVar[Missed]
    """None of them gets a job."""
    ONCE: ClassVar[Missed]
    """All of them together get one job, that of the newest tick that is due."""

    @classmethod
    def all(cls, most: int) -> Self:
        """Give a job to each of the newest `most` of them, 1 to 1,000; the oldest comes first.

        Raises:
            InvalidScheduleError: `most` is out of its range.
        """
        if isinstance(most, bool) or not isinstance(most, int) or not 1 <= most <= COUNTED:
            raise InvalidScheduleError(
                f"Missed.all({most!r}): expected a number from 1 to {COUNTED}"
            )
        return cls("all", most)

    def __repr__(self) -> str:
        """Return how it is written in code."""
        return f"Missed.all({self.most})" if self.how == "all" else f"Missed.{self.how.upper()}"

    def __str__(self) -> str:
        """Return how it is written on the command line, and stored."""
        return f"all={self.most}" if self.how == "all" else self.how

    @classmethod
    def read(cls, text: str) -> Missed:
        """Return what `str` gave.

        Raises:
            InvalidScheduleError: it is something else.
        """
        how, _, most = text.partition("=")
        if text in {"skip", "once"}:
            return Missed(text)
        if how == "all" and most.isascii() and most.isdigit() and len(most) <= len(str(COUNTED)):
            return Missed.all(int(most))
        raise InvalidScheduleError(
            f"missed={text!r}: expected skip, once, or all=N with N from 1 to {COUNTED}"
        )


Missed.SKIP = Missed("skip")
Missed.ONCE = Missed("once")


class Overlap(StrEnum):
    """What a tick does while the job of an earlier one of its schedule has not ended."""

    ALLOW = "allow"
    """It gets a job all the same."""
    SKIP = "skip"
    """It gets none."""
    CANCEL_PREVIOUS = "cancel_previous"
    """The earlier job is cancelled; its worker is asked to, where it runs."""


class TickOutcome(StrEnum):
    """What became of a tick."""

    ENQUEUED = "enqueued"
    """It got a job."""
    MISSED = "missed"
    """Nobody fired it in time, and `Missed.SKIP` gives it no job."""
    OVERLAP = "overlap"
    """It got none: the job of another tick stood in its way."""
    DUPLICATE = "duplicate"
    """It got none: a job that held the unique key of its kind stood for it."""
    REFUSED = "refused"
    """It got none: the enqueue was refused, for the reason beside it."""


@dataclass(frozen=True, slots=True)
class Turn:
    """A tick for which the history gets a row."""

    tick: int
    outcome: TickOutcome
    passed: int = 0
    """How many ticks before it got neither job nor row."""


def due_ticks(timing: Timing, since: int, now: int) -> list[int]:
    """Return the ticks from `since` to `now`, the oldest first; of many only the newest."""
    window = WINDOW
    while True:
        begin = max(since - 1, now - window)
        found = list(takewhile(lambda tick: tick <= now, timing.after(begin)))
        if len(found) > COUNTED or begin == since - 1:
            return found[-COUNTED - 1 :]
        window *= 4


def turns(due: Sequence[int], now: int, missed: Missed) -> list[Turn]:
    """Return the rows that the history gets for ticks that are `due`.

    Args:
        due: at least one, as `due_ticks` returns them.
        now: in microseconds since 1970 UTC.
        missed: the policy.
    """
    newest = due[-1]
    in_time = now - newest <= GRACE
    late = due[:-1] if in_time else due
    if missed == Missed.SKIP and not in_time:
        return [Turn(newest, TickOutcome.MISSED, min(len(due) - 1, COUNTED))]
    chosen = list(late[-missed.most :]) if missed.how == "all" else []
    chosen += [newest] if in_time or not chosen else []
    found = [Turn(tick, TickOutcome.ENQUEUED) for tick in chosen]
    found[0] = replace(found[0], passed=min(len(due) - len(chosen), COUNTED))
    return found


def overlapping(found: Iterable[Turn], overlap: Overlap, *, busy: bool) -> list[Turn]:
    """Return turns as they are by the policy for overlaps.

    Args:
        found: what the policy for missed ticks has left.
        overlap: the policy.
        busy: whether the job of an earlier tick has not ended.
    """
    given = list(found)
    fires = [turn.outcome is TickOutcome.ENQUEUED for turn in given]
    if overlap is Overlap.ALLOW or not any(fires):
        return given
    if overlap is Overlap.SKIP:
        keeps = None if busy else fires.index(True)
    else:
        keeps = len(fires) - 1 - fires[::-1].index(True)
    return [
        replace(turn, outcome=TickOutcome.OVERLAP) if fire and place != keeps else turn
        for place, (turn, fire) in enumerate(zip(given, fires, strict=True))
    ]
