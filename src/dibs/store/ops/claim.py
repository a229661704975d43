"""Handing ready jobs to a worker, from the front of the lines, in the order of the policy."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Generator, Iterator, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

from dibs.model.lifecycle import Claim
from dibs.model.lines import Demand, Line, Pop, Serving, Turn, pops
from dibs.model.marks import Mark
from dibs.model.ordering import Credit, order, ranks
from dibs.model.queues import QueuePolicy, policy_from_json
from dibs.store.statement import Row, RowList, Rows, Statement, Steps, operation

ALL = 2**62
"""More heads than there are."""
CROWD = 1000
"""Jobs of a line that are looked at to be set aside, in one transaction."""


class Claimed(NamedTuple):
    """A job that a claim took from its line, as the worker needs it."""

    id: int
    kind: str
    queue: str
    priority: int
    args: str
    """JSON text."""
    claim: int | None
    """None where the worker doesn't know the kind, or the kind is paused: the job is blocked, and
    not the worker's."""
    attempt: int | None
    max_attempts: int
    crashes: int
    scheduled_at: int
    created_at: int
    started_at: int
    timeout: int | None
    """Microseconds; 0 for none, None for that of the kind or queue."""
    retry: str | None
    """Its own rules for retries, as JSON; None for those of its kind."""
    rank: int
    """Of two jobs that a worker holds the one of higher rank starts first."""
    queue_timeout: int | None = None
    """Microseconds; None where the queue's policy has none."""

    @property
    def ticket(self) -> Claim:
        """The right to settle this attempt."""
        if self.claim is None or self.attempt is None:
            raise ValueError(f"job {self.id} was blocked, not claimed")
        return Claim(self.id, self.claim, self.attempt, self.max_attempts)


Key = tuple[int, int | None]
"""A job's id and the number of its claim."""


def key_of(job: Claimed) -> Key:
    """Return what tells this attempt from every other."""
    return (job.id, job.claim)


@dataclass(frozen=True, slots=True)
class Found:
    """What a claim brought."""

    jobs: list[Claimed]
    """In the order in which they are to start."""
    admitted: int
    """Blocked jobs that were made ready first."""
    turns: list[Turn]
    """Of the jobs that stood at the front when it looked; others may have taken some of them."""
    credit: Credit
    """What weights owe now."""
    lines: int
    """How many lines it read, if all of them are likely to give some; else 0."""


@dataclass(frozen=True, slots=True)
class Front:
    """Lines as they stood at one moment."""

    lines: list[Line]
    policies: dict[str, QueuePolicy]
    """Of the queues that have lines."""
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
    return Front(lines, policies, rows[0][4] if rows else 0)


@operation()
def job_claim(
    worker: str,
    serving: Serving,
    kinds: Sequence[str],
    demand: Demand,
    credit: Credit | None = None,
    marks: Sequence[Mark] = (),
    *,
    admit: bool = False,
    heads: int | None = None,
) -> Steps[Found]:
    """Take as many ready jobs as `demand` says for `worker`, in the order of the policies.

    Jobs of kinds other than `kinds`, and of kinds that are paused, are blocked, so that they hold
    up nobody, until a worker that knows their kind admits them; they are returned without a claim.
    Of queues that are paused no job is taken.

    Args:
        worker: who will run them.
        serving: the queues and the range of priorities to take from.
        kinds: the kinds that the worker can run.
        demand: how many at most.
        credit: what weights still owe, as the claim before returned it. Default nothing.
        marks: where to start in a line. Default at its front.
        heads: how many of each line to look at first; more where these are not enough. Default
            as many as are wanted.
        admit: first make blocked jobs of `kinds` that are not paused ready again, in the same
            transaction.
    """
    known = list(dict.fromkeys(kinds))
    admitted = 0
    if admit:
        blocked = {**lines_of(serving), "kinds": known, "count": demand.count}
        admitted = (yield Statement("job_admit", blocked))[0][0]
    front, turns, owed = yield from _next_turns(
        serving, demand, credit or {}, marks, heads, alone=not admit
    )
    rows: Sequence[Row] = ()
    if turns:
        rows = yield Statement(
            "job_claim",
            {
                "worker": worker,
                "kinds": known,
                "lines": Rows(Pop._fields, pops(turns)),
                "ids": [turn.job_id for turn in turns],
            },
        )
    rank = dict(zip(turns, ranks(turns, serving, front.policies), strict=True))
    limits = {queue: policy.limit for queue, policy in front.policies.items()}
    jobs = [
        Claimed._make((*row, rank[turn], limits[turn.queue])) for row, turn in _in_turn(rows, turns)
    ]
    return Found(jobs, admitted, turns, owed, front.alike)


@operation()
def job_set_aside(kinds: Sequence[str], places: Sequence[Mark]) -> Steps[int]:
    """Block jobs of kinds other than `kinds`, and of paused ones, many at a time; return how many.

    A claim blocks no more than it has room for: a crowd of them would hold up what stands behind.

    Args:
        kinds: the kinds that the worker can run.
        places: where to look, one in each line.
    """
    table = Rows(Mark._fields, places)
    look = {"kinds": list(dict.fromkeys(kinds)), "lines": table, "count": CROWD}
    return len((yield Statement("job_set_aside", look, alone=True)))


@operation(reads=True)
def line_fronts(serving: Serving, *, paused: bool = False) -> Steps[Front]:
    """Return every line of `serving` with its first job; of paused queues where `paused` is set."""
    return (yield from read_front(serving, 1, ALL, paused=paused, alone=True))


def _next_turns(
    serving: Serving,
    demand: Demand,
    credit: Credit,
    marks: Sequence[Mark],
    heads: int | None,
    *,
    alone: bool,
) -> Generator[Statement, RowList, tuple[Front, list[Turn], Credit]]:
    """Read the lines, `heads` deep or as deep as need be, and tell whose turn it is.

    Returns what was read, the turns, and what weights owe after them.
    """
    # What a head was when it was read does not matter: what is taken is what stands there then.
    above = serving.above(demand.lowest)
    heads = min(heads or demand.count, demand.count)
    while True:
        front = yield from read_front(above, heads, heads, marks, alone=alone)
        owed = {name: (weights, dict(own)) for name, (weights, own) in credit.items()}
        turns = front.order(serving, demand, owed)
        if heads >= demand.count or not front.too_short(turns, heads):
            return front, turns, owed
        heads = demand.count


def lines_of(serving: Serving) -> dict[str, Any]:
    """Return the parameters that name the lines of `serving`."""
    return {
        "queues": list(serving.queues),
        "lowest": serving.lowest,
        "highest": serving.highest,
    }


def _in_turn(rows: Sequence[Row], turns: Sequence[Turn]) -> Iterator[tuple[Row, Turn]]:
    """Give each line's jobs, in the line's own order, the turns that are the line's."""
    found = {row[0]: row for row in rows}
    if all(turn.job_id in found for turn in turns):
        yield from ((found[turn.job_id], turn) for turn in turns)
        return
    # Others took some of what was seen, and those behind came in their place.
    lines: dict[tuple[str, int], list[Row]] = {}
    for row in sorted(rows, key=_standing, reverse=True):
        lines.setdefault((row[2], row[3]), []).append(row)
    for turn in turns:
        if line := lines.get((turn.queue, turn.priority)):
            yield line.pop(), turn


def _standing(row: Row) -> tuple[int, int]:
    """Return a job's place in its line."""
    return row[9], row[0]
