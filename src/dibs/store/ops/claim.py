"""Handing ready jobs to a worker, from the front of the lines, in the order of the policy."""

from __future__ import annotations

from collections.abc import Collection, Generator, Iterator, Sequence
from dataclasses import dataclass

from dibs.model.lines import Demand, Pop, Serving, Turn, pops
from dibs.model.marks import Mark
from dibs.model.ordering import Credit, ranks
from dibs.store.ops.claimed import Claimed
from dibs.store.ops.front import Front, lines_of, read_front
from dibs.store.ops.limits import start_limited
from dibs.store.statement import Row, RowList, Rows, Statement, Steps, operation

CROWD = 1000
"""Jobs of a line that are looked at to be set aside, in one transaction."""


@dataclass(frozen=True, slots=True)
class Found:
    """What a claim brought."""

    jobs: list[Claimed]
    """In the order in which they are to start."""
    limited: bool
    """Whether it came upon jobs that have limits."""
    waits: bool
    """Whether it came upon jobs that wait now for room under their limits."""
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
    limited: bool = False,
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
        limited: whether jobs with limits are to be expected: where they are not and come up, or
            are and don't, it takes longer.
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
    counted = front.rooms.keys()
    rows: list[Row] = []
    if turns:
        rows = yield from _take(worker, known, counted, turns, decide=limited or bool(counted))
    rank = dict(zip(turns, ranks(turns, serving, front.policies), strict=True))
    limits = {queue: policy.limit for queue, policy in front.policies.items()}
    jobs: list[Claimed] = []
    undecided: dict[int, Claimed] = {}
    for (*row, decide), turn in _in_turn(rows, turns):
        job = Claimed._make((*row, rank[turn], worker, limits[turn.queue], False))
        jobs.append(job)
        if decide:
            undecided[job.id] = job
    waits = False
    if undecided:
        started = yield from start_limited(worker, list(undecided.values()), counted)
        waits = started.waits
        run = {job.id: job for job in started.jobs}
        jobs = [run.get(job.id, job) for job in jobs if job.id in run or job.id not in undecided]
    full = len(turns) < len(wanted)
    return Found(jobs, bool(undecided), waits, full, admitted, turns, owed, front.alike)


def _take(
    worker: str,
    kinds: Sequence[str],
    counted: Collection[str],
    turns: Sequence[Turn],
    *,
    decide: bool,
) -> Generator[Statement, RowList, RowList]:
    """Take jobs from their lines; those that have limits in a transaction that decides on them.

    Args:
        worker: who takes them.
        kinds: what it can run.
        counted: the queues of which only so many may run at once.
        turns: what stands in front.
        decide: there may be some that have limits. If there are and nobody expected it, they go
            back to their places, and are taken once more.
    """
    take = {
        "worker": worker,
        "kinds": kinds,
        "counted": sorted(counted),
        "decide": int(decide),
        "lines": Rows(Pop._fields, pops(turns)),
        "ids": [turn.job_id for turn in turns],
    }
    rows = yield Statement("job_claim", take, alone=not decide)
    back = set() if decide else {row[0] for row in rows if row[-1]}
    if not back:
        return rows
    rows = [row for row in rows if row[0] not in back]
    again = [turn for turn in turns if turn.job_id in back]
    if again:
        rows += yield from _take(worker, kinds, counted, again, decide=True)
    return rows


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
