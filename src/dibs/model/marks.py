"""Where a claim starts to read in a line, and how deep it reads.

Low marks say how far a worker has taken a line, so that it need not start at the front each time:
an engine that removes claimed jobs from its index later, as PostgreSQL does, reads all that was
claimed since then whenever it starts at the front. A mark lets it start where the last claim
ended. It is a hint and not the truth: jobs may still come in below it (given back, rescued, due in
the past, committed late), or be passed because somebody else had locked them. So the front is read
anew again and again, and at once when a line ran dry.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable
from typing import NamedTuple

from dibs.model.job import PRIORITY_MIN
from dibs.model.lines import Turn

SWEEP_SECONDS = 0.25
"""From one look at the front to the next: what a job below a mark may wait for, at most."""
TOLD_SECONDS = 0.05
"""The same where somebody told that there is something new."""
MOST = 64
"""Lines remembered at once; so many priorities in use are better read from the front."""
MANY = 20
"""Lines that a claim reads as deep as it wants jobs."""


class Mark(NamedTuple):
    """The last job that was taken from a line."""

    queue: str
    priority: int
    scheduled_at: int
    job_id: int


class Marks:
    """The marks of one worker; times are seconds of any monotonic clock."""

    def __init__(self) -> None:
        """Begin at the front of every line."""
        self._marks: dict[tuple[str, int], Mark] = {}
        self._looked = float("-inf")
        self._told = False

    def tell(self) -> None:
        """Note that something may have come in."""
        self._told = True

    def forget(self, queues: Collection[str]) -> None:
        """Begin at the front of the lines of `queues`: there is something new at it."""
        self._marks = {line: mark for line, mark in self._marks.items() if line[0] not in queues}

    def use(self, now: float) -> list[Mark]:
        """Return where to start reading; none where it is time to look at the front."""
        if now - self._looked >= (TOLD_SECONDS if self._told else SWEEP_SECONDS):
            self._marks.clear()
        if not self._marks:
            self._looked, self._told = now, False
        return list(self._marks.values())

    def note(self, turns: Iterable[Turn], *, dry: bool, lowest: int = PRIORITY_MIN) -> bool:
        """Remember what was taken; return whether to look again, at the front of what ran dry.

        Args:
            turns: of a claim.
            dry: whether the lines had no more to give.
            lowest: the priority from which on they ran dry; what lies below may have more.
                Default all did.
        """
        marks = self._marks
        if dry:
            self._marks = {line: mark for line, mark in marks.items() if line[1] < lowest}
        unseen = len(self._marks) < len(marks)
        for turn in turns:
            if not dry or turn.priority < lowest:
                line = (turn.queue, turn.priority)
                self._marks[line] = Mark(*line, turn.scheduled_at, turn.job_id)
        if len(self._marks) > MOST:
            self._marks.clear()
        return unseen


def heads_of(count: int, lines: int) -> int:
    """Return how many heads to read of each of so many lines, to find `count` jobs.

    Of many lines each gives few: what is read of the others is read in vain.
    """
    return count if lines <= MANY else min(count, max(4, 4 * count // lines))
