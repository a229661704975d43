"""Pauses: queues and kinds of which no job starts, until somebody resumes them or for a time."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Literal, NamedTuple

from dibs.errors import InvalidJobError
from dibs.model.dead import check_text
from dibs.model.times import Duration, duration, to_micros

What = Literal["queue", "kind"]
"""What can be paused."""
SHORTEST_PAUSE = 0.001
"""Seconds that a pause lasts at least, where it is given how long."""


@dataclass(frozen=True, slots=True)
class Pause:
    """Why a queue or a kind is paused, and until when."""

    since: datetime
    until: datetime | None
    """When it ends by itself; None where somebody has to resume it."""
    author: str | None
    """Who paused it."""
    reason: str | None

    def __str__(self) -> str:
        """Say it in words.

        Example:
            >>> print(Pause(datetime(2030, 1, 31, 8, tzinfo=UTC), None, "ann", "the relay is down"))
            since 2030-01-31 08:00:00Z, by ann: the relay is down
        """
        words = [f"since {_moment(self.since)}"]
        if self.until is not None:
            words.append(f"until {_moment(self.until)}")
        if self.author is not None:
            words.append(f"by {self.author}")
        said = ", ".join(words)
        return said if self.reason is None else f"{said}: {self.reason}"


class Paused(NamedTuple):
    """A queue or a kind that is paused now."""

    what: What
    name: str
    pause: Pause


class NewPause(NamedTuple):
    """A checked pause on its way into the store."""

    reason: str | None
    author: str | None
    until: int | None
    """Microseconds since 1970 UTC."""
    lasting: int | None
    """Microseconds from the moment of pausing; None where `until` says it, or nobody."""


def make_pause(
    reason: str | None, author: str | None, until: datetime | None, lasting: Duration | None
) -> NewPause:
    """Check a pause as the user gave it.

    Raises:
        InvalidJobError: `until` is no aware datetime, or given together with `lasting`.
        ConfigurationError: `lasting` is no length of time, or too short.
        DibsError: the reason or the name of who pauses is no text that both engines can store.
    """
    if until is not None and lasting is not None:
        raise InvalidJobError("until and lasting are given both; give one of them")
    return NewPause(
        None if reason is None else check_text(reason, "reason"),
        None if author is None else check_text(author, "author"),
        None if until is None else to_micros(until, "until"),
        None if lasting is None else duration(lasting, "lasting", minimum=SHORTEST_PAUSE),
    )


def pauses_of(what: What, paused: Iterable[Paused]) -> dict[str, Pause]:
    """Return the pauses of queues or of kinds, by name."""
    return {one.name: one.pause for one in paused if one.what == what}


def _moment(moment: datetime) -> str:
    return moment.astimezone(UTC).strftime("%Y-%m-%d %H:%M:%SZ")
