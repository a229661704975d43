"""Reading the lines of queues, with as many heads of each as somebody asks for."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Generator, Sequence
from dataclasses import dataclass, replace
from typing import Any

from dibs.model.lines import Demand, Line, Serving, Turn
from dibs.model.marks import Mark
from dibs.model.ordering import Credit, order
from dibs.model.queues import QueuePolicy, policy_from_json
from dibs.store.statement import RowList, Rows, Statement, Steps, operation

ALL = 2**62
"""More heads than there are."""


@dataclass(frozen=True, slots=True)
class Front:
    """Lines as they stood at one moment."""

    lines: list[Line]
    policies: dict[str, QueuePolicy]
    """Of the queues that have lines."""
    rooms: dict[str, int]
    """How many more jobs may run, of the queues of which only so many may."""
    now: int

    @property
    def alike(self) -> int:
        """How many lines are likely to give some; 0 where one line may well give all.

        Of strict queues only the first lines are read. Where all lines of a queue are, those in
        front give most.
        """
        strict = all(policy.strict for policy in self.policies.values())
        return len(self.lines) if strict else 0

    def order(self, serving: Serving, demand: Demand, credit: Credit) -> list[Turn]:
        """Return the next jobs."""
        return order(self.lines, serving, demand, self.policies, self.now, credit)

    def open(self) -> Front:
        """Return this without the queues that have no room for another job."""
        if not self.rooms:
            return self
        lines = [line for line in self.lines if self.rooms.get(line.queue, 1) > 0]
        return replace(self, lines=lines)

    def within_rooms(self, turns: Sequence[Turn]) -> list[Turn]:
        """Return the turns that their queues have room for."""
        if not self.rooms:
            return list(turns)
        left = Counter(self.rooms)
        allowed: list[Turn] = []
        for turn in turns:
            if turn.queue in self.rooms:
                left[turn.queue] -= 1
            if left[turn.queue] >= 0:
                allowed.append(turn)
        return allowed

    def too_short(self, turns: Sequence[Turn], heads: int) -> bool:
        """Return whether `turns` use up what was read of a line or queue that may hold more.

        Of each line `heads` were read at most, and of a strict queue no line behind so many.
        """
        taken = Counter((turn.queue, turn.priority) for turn in turns)
        read: Counter[str] = Counter()
        left: Counter[str] = Counter()
        for queue, priority, of_line in self.lines:
            behind = len(of_line) - taken[queue, priority]
            if not behind and len(of_line) == heads:
                return True
            read[queue] += len(of_line)
            left[queue] += behind
        return any(
            not left[queue] and read[queue] >= heads and self.policies[queue].strict
            for queue in read
        )


def read_front(
    serving: Serving,
    count: int,
    enough: int,
    marks: Sequence[Mark] = (),
    kind: str | None = None,
    *,
    paused: bool = False,
    alone: bool = False,
) -> Generator[Statement, RowList, Front]:
    """Read the lines that `serving` covers.

    Args:
        serving: whose queues and range.
        count: how many heads of each line.
        enough: where order is strict, leave out the lines behind so many heads.
        marks: where to start in a line. Default at its front.
        kind: see only jobs of this kind. Default all.
        paused: read the lines of queues that are paused too.
        alone: no transaction is needed.
    """
    table = Rows(Mark._fields, marks)
    read = {"count": count, "enough": enough, "marks": table, "kind": kind, "paused": int(paused)}
    rows = yield Statement("queue_lines", {**lines_of(serving), **read}, alone)
    lines = [Line(row[0], row[1], json.loads(row[2])) for row in rows]
    policies = {row[0]: policy_from_json(row[3]) for row in rows}
    rooms = {row[0]: row[5] for row in rows if row[5] is not None}
    return Front(lines, policies, rooms, rows[0][4] if rows else 0)


@operation(reads=True)
def line_fronts(serving: Serving, *, paused: bool = False) -> Steps[Front]:
    """Return every line of `serving` with its first job; of paused queues where `paused` is set."""
    return (yield from read_front(serving, 1, ALL, paused=paused, alone=True))


def lines_of(serving: Serving) -> dict[str, Any]:
    """Return the parameters that name the lines of `serving`."""
    return {
        "queues": list(serving.queues),
        "lowest": serving.lowest,
        "highest": serving.highest,
    }
