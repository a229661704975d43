"""Pruning: which rows nobody needs any more, and removing them in small batches."""

from __future__ import annotations

from collections.abc import Generator, Mapping
from dataclasses import dataclass, field

from dibs.model.job import State
from dibs.model.queues import STRICT, QueuePolicy
from dibs.model.retention import Retention
from dibs.store.ops.dead import EVER
from dibs.store.ops.queues import queue_list
from dibs.store.statement import RowList, Statement, Steps, operation

BATCH = 1000
"""Rows looked at, or removed, per transaction."""
MINUTES_KEPT = 60
"""For how long ended attempts stay counted by the minute, by worker and by priority."""
MINUTE = 60_000_000


@dataclass(frozen=True, slots=True)
class Over:
    """Ended jobs of one queue and state that are not kept any longer: all up to a bound."""

    queue: str
    state: State
    until: int
    """When the last of them ended."""
    last: int = EVER
    """The highest id of those that ended then."""


@dataclass(frozen=True, slots=True)
class Due:
    """What is to be pruned, by a first look."""

    jobs: list[Over] = field(default_factory=list)
    """Completed and cancelled ones, and dead letters by their age."""
    crowds: dict[str, int] = field(default_factory=dict)
    """By queue: how many dead letters are kept at most."""
    keys: bool = False
    """Whether the time of a key is over."""
    counters: bool = False
    """Whether there are minutes that nobody asks for any more."""


@dataclass(frozen=True, slots=True)
class Page:
    """Ended jobs that were looked at."""

    ids: list[int]
    cursor: int
    """When the last of them ended."""
    last: bool
    """Whether there are no more behind it."""


@dataclass(frozen=True, slots=True)
class Traces:
    """Jobs with notes or effects that were looked at."""

    gone: list[int]
    """Those that have left for good."""
    cursor: int
    """The last id that was looked at, 0 at the end of the table."""


@operation(reads=True)
def prune_due() -> Steps[Due]:
    """Look what is not kept any longer."""
    [[now]] = yield Statement("stats_clock", {})
    policies = {queue.name: queue.policy for queue in (yield from queue_list().steps())}
    jobs = yield from _ended(policies, now)
    crowds = {}
    for name, policy in policies.items():
        kept = policy.kept
        if (micros := kept.micros(State.DEAD)) is not None:
            jobs.append(Over(name, State.DEAD, now - micros))
        if (most := kept.most(State.DEAD)) is not None:
            crowds[name] = most
    before = now // MINUTE - MINUTES_KEPT
    [[keys, counters]] = yield Statement("prune_over", {"before": before})
    return Due(jobs, crowds, bool(keys), bool(counters))


def _ended(
    policies: Mapping[str, QueuePolicy], now: int
) -> Generator[Statement, RowList, list[Over]]:
    """Return what of the history is not kept any longer, queue by queue and state by state."""
    found = []
    for queue, state, oldest in (yield Statement("history_oldest", {})):
        if oldest is None:
            continue
        kept = policies.get(queue, STRICT).kept
        bounds = yield from _bounds(kept, queue, State(state), now)
        over = max(bounds, default=None)
        if over is not None and over[0] >= oldest:
            found.append(Over(queue, State(state), *over))
    return found


def _bounds(
    kept: Retention, queue: str, state: State, now: int
) -> Generator[Statement, RowList, list[tuple[int, int]]]:
    """Return up to which job, by its end and id, age and number each let a queue's jobs go."""
    micros, most = kept.micros(state), kept.most(state)
    bounds = [] if micros is None else [(now - micros, EVER)]
    if most is not None:
        line = {"queue": queue, "state": str(state), "keep": most}
        bounds += [(row[0], row[1]) for row in (yield Statement("history_beyond", line))]
    return bounds


@operation(reads=True)
def history_find(over: Over, after: int) -> Steps[Page]:
    """Look for the next jobs that are over, from those on that ended at `after`."""
    line = {"queue": over.queue, "state": str(over.state), "after": after}
    bound = {"until": over.until, "last": over.last, "count": BATCH}
    rows = yield Statement("history_find", line | bound, alone=True)
    ids = [row[0] for row in rows]
    return Page(ids, rows[-1][1] if rows else after, len(rows) < BATCH)


@operation()
def history_drop(ids: list[int]) -> Steps[int]:
    """Remove completed and cancelled jobs with the records of their attempts; return how many."""
    return len((yield Statement("history_drop", {"ids": ids}, alone=True)))


@operation(reads=True)
def dead_crowd(queue: str, keep: int) -> Steps[list[int]]:
    """Return dead letters of a queue that are too many, where the latest `keep` are kept."""
    crowd = {"queue": queue, "keep": keep, "count": BATCH}
    return [row[0] for row in (yield Statement("dead_crowd", crowd, alone=True))]


@operation()
def key_prune() -> Steps[int]:
    """Remove keys whose time is over, and return how many."""
    return len((yield Statement("key_prune", {"count": BATCH}, alone=True)))


@operation()
def counters_sum() -> Steps[int]:
    """Add minutes up that nobody asks for any more, and return how many rows that saved."""
    [[now]] = yield Statement("stats_clock", {})
    old = {"before": now // MINUTE - MINUTES_KEPT, "count": BATCH}
    saved: int = (yield Statement("counters_sum", old))[0][0]
    return saved


@operation(reads=True)
def traces_find(after: int) -> Steps[Traces]:
    """Look at the next jobs behind the id `after` that have notes or effects."""
    rows = yield Statement("traces_find", {"after": after, "count": BATCH}, alone=True)
    gone = [job_id for job_id, left in rows if left]
    return Traces(gone, rows[-1][0] if len(rows) == BATCH else 0)


@operation()
def traces_drop(ids: list[int]) -> Steps[int]:
    """Remove the notes and effects of jobs that have left for good; return of how many."""
    return len((yield Statement("traces_drop", {"ids": ids}, alone=True)))
