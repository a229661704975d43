"""Handing ready jobs to a worker, from the front of the lines, in the order of the policy."""

from __future__ import annotations

from collections.abc import Generator, Iterator, Sequence
from dataclasses import dataclass
from typing import NamedTuple

from dibs.model.lifecycle import Claim
from dibs.model.lines import Demand, Pop, Serving, Turn, pops
from dibs.model.marks import Mark
from dibs.model.ordering import Credit, ranks
from dibs.store.ops.front import Front, lines_of, read_front
from dibs.store.statement import Row, RowList, Rows, Statement, Steps, operation

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
    limits: str | None
    """What it needs of its limits, as JSON; None where it has none."""
    pending: int
    """1 where its limits are to be asked before it starts, else 0."""
    rank: int
    """Of two jobs that a worker holds the one of higher rank starts first."""
    worker: str
    """Who took it."""
    queue_timeout: int | None = None
    """Microseconds; None where the queue's policy has none."""
    counted: bool = False
    """Whether it holds slots."""

    @property
    def ticket(self) -> Claim:
        """The right to settle this attempt."""
        if self.claim is None or self.attempt is None:
            raise ValueError(f"job {self.id} was blocked, not claimed")
        return Claim(
            self.id, self.claim, self.worker, self.attempt, self.max_attempts, self.counted
        )


Key = tuple[int, int | None]
"""A job's id and the number of its claim: what tells the claims of one worker apart."""


def key_of(job: Claimed) -> Key:
    """Return what tells this attempt from every other of its worker."""
    return (job.id, job.claim)


@dataclass(frozen=True, slots=True)
class Found:
    """What a claim brought."""

    jobs: list[Claimed]
    """In the order in which they are to start."""
    pending: list[Claimed]
    """Those whose limits are to be asked first."""
    counted: frozenset[str]
    """Of the queues, those of which only so many jobs may run at once."""
    full: bool
    """Whether such a queue held more that could have been taken otherwise."""
    admitted: int
    """Blocked jobs that were made ready first."""
    turns: list[Turn]
    """Of the jobs that stood at the front when it looked; others may have taken some of them."""
    credit: Credit
    """What weights owe now."""
    lines: int
    """How many lines it read, if all of them are likely to give some; else 0."""


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
    front, wanted, owed = yield from _next_turns(
        serving, demand, credit or {}, marks, heads, alone=not admit
    )
    turns = front.within_rooms(wanted)
    rows: Sequence[Row] = ()
    if turns:
        rows = yield Statement(
            "job_claim",
            {
                "worker": worker,
                "kinds": known,
                "counted": sorted(front.rooms),
                "lines": Rows(Pop._fields, pops(turns)),
                "ids": [turn.job_id for turn in turns],
            },
        )
    rank = dict(zip(turns, ranks(turns, serving, front.policies), strict=True))
    limits = {queue: policy.limit for queue, policy in front.policies.items()}
    jobs = [
        Claimed._make((*row, rank[turn], worker, limits[turn.queue], False))
        for row, turn in _in_turn(rows, turns)
    ]
    return Found(
        [job for job in jobs if not job.pending],
        [job for job in jobs if job.pending],
        frozenset(front.rooms),
        len(turns) < len(wanted),
        admitted,
        turns,
        owed,
        front.alike,
    )


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
        front = (yield from read_front(above, heads, heads, marks, alone=alone)).open()
        owed = {name: (weights, dict(own)) for name, (weights, own) in credit.items()}
        turns = front.order(serving, demand, owed)
        if heads >= demand.count or not front.too_short(turns, heads):
            return front, turns, owed
        heads = demand.count


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
