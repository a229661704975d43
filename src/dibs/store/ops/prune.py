"""Pruning: which rows nobody needs any more, and removing them in small batches."""

from __future__ import annotations

from dataclasses import dataclass

from dibs.store.ops.queues import queue_list
from dibs.store.statement import Statement, Steps, operation

BATCH = 1000
"""Rows looked at, or removed, per transaction."""


@dataclass(frozen=True, slots=True)
class Due:
    """What is to be pruned, by a first look."""

    dead: dict[str, int]
    """By queue: until when its dead letters died that are not kept any longer."""
    keys: bool
    """Whether the time of a key is over."""


@dataclass(frozen=True, slots=True)
class Traces:
    """Jobs with notes or effects that were looked at."""

    gone: list[int]
    """Those that have left for good."""
    cursor: int
    """The last id that was looked at, 0 at the end of the table."""


@operation(reads=True)
def prune_due() -> Steps[Due]:
    """Look which queues keep their dead letters for a time only, and whether keys expired."""
    [[now]] = yield Statement("stats_clock", {})
    queues = yield from queue_list().steps()
    kept = {queue.name: queue.policy.retention for queue in queues}
    dead = {
        name: now - retention.dead_micros
        for name, retention in kept.items()
        if retention is not None and retention.dead_micros is not None
    }
    [[expired]] = yield Statement("key_over", {})
    return Due(dead, bool(expired))


@operation()
def key_prune() -> Steps[int]:
    """Remove keys whose time is over, and return how many."""
    return len((yield Statement("key_prune", {"count": BATCH}, alone=True)))


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
