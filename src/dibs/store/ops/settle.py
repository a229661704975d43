"""Ending attempts, fenced by their claims, many at once."""

from __future__ import annotations

from collections.abc import Generator, Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

from dibs.model.job import State
from dibs.model.lifecycle import Bury, Failed, Finish, Requeue, Settlement
from dibs.store.ops.limit_turns import admit
from dibs.store.ops.limits import lock_keys
from dibs.store.statement import Row, RowList, Rows, Statement, Steps, operation

_FINISH = ("job_id", "claim", "state", "result", "reason")
_REQUEUE = (
    "job_id", "claim", "delay", "counted", "crashed", "outcome", "error_type", "error",
    "traceback",
)  # fmt: skip
_BURY = (
    "job_id", "claim", "reason", "crashed", "outcome", "error_type", "error", "traceback"
)  # fmt: skip


@dataclass(frozen=True, slots=True)
class Settled:
    """What a settlement came to; jobs by their ids."""

    moved: set[int]
    cancelled: set[int]
    """Of these, what would have run again and ended as cancelled instead: somebody had asked."""
    ready: frozenset[str] = frozenset()
    """Queues in which others may start now, for whom slots came free."""
    unknown: tuple[str, ...] = ()
    """Keys that were to be held, of limits that nobody declared."""

    def became(self, settlement: Settlement) -> Settlement:
        """Return what became of one that moved its job."""
        if settlement.claim.job_id in self.cancelled:
            return Finish(settlement.claim, State.CANCELLED)
        return settlement


@operation()
def job_settle(settlements: Sequence[Settlement]) -> Steps[Settled]:
    """Carry `settlements` out and return which jobs they moved.

    The slots of limits that those held are free then, for others who become ready.

    What would run again, and somebody asked to cancel while it ran, ends as cancelled instead.

    One that was not moved had lost its claim: the job was rescued meanwhile, and nothing of the
    late settlement took effect. Or, on PostgreSQL, somebody had its row locked, such as a handler
    that is about to complete it: `job_unmoved` tells which.
    """
    # None, too, takes a statement: runners need one.
    statements = list(_statements(settlements)) or [("job_finish", finishing("", []))]
    moved: set[int] = set()
    cancelled: set[int] = set()
    counted = [one.claim.job_id for one in settlements if one.claim.counted]
    alone = len(statements) == 1 and not counted
    for name, params in statements:
        moved.update(row[0] for row in (yield Statement(name, params, alone)))
        rows = params["rows"].rows
        if name == "job_requeue" and (left := [row for row in rows if row[0] not in moved]):
            # Somebody asked meanwhile to cancel them, or their claims are lost, which guards them,
            # or they were locked: only what somebody asked for is cancelled.
            ends = [(row[0], row[1], str(State.CANCELLED), None, None) for row in left]
            asked = finishing(params["worker"], ends, asked=True)
            cancelled.update(row[0] for row in (yield Statement("job_finish", asked)))
    moved |= cancelled
    ended = [job_id for job_id in counted if job_id in moved]
    unknown = yield from _hold((one for one in settlements if one.claim.job_id in moved), ended)
    # Locks in a statement of their own: what others did under the keys is seen in the next one.
    locked = (yield Statement("slots_lock", {"ids": ended})) if ended else []
    if not locked:
        return Settled(moved, cancelled, unknown=unknown)
    untaken_keys = [key for key, lines in locked if lines is not None]
    freed = yield Statement("slots_free", {"ids": ended, "untaken": untaken_keys})
    ready = {row[0] for row in freed}
    if untaken_keys:
        ready |= yield from admit((), dict.fromkeys(untaken_keys, len(ended)))
    return Settled(moved, cancelled, frozenset(ready), unknown)


def _hold(
    moved: Iterable[Settlement], ended: Sequence[int]
) -> Generator[Statement, RowList, tuple[str, ...]]:
    """Hold the limits that failures name; return the keys of those that nobody declared."""
    holds: dict[str, int] = {}
    for one in moved:
        failure = None if isinstance(one, Finish) else one.failure
        if failure is not None and failure.hold is not None:
            delay = failure.retry_after or 0
            holds[failure.hold] = max(delay, holds.get(failure.hold, 0))
    if not holds:
        return ()
    keys = yield Statement("slots_keys", {"ids": ended})
    yield lock_keys([*holds, *(row[0] for row in keys)])
    until = Rows(("key", "delay"), sorted(holds.items()))
    held = yield Statement("limit_hold", {"rows": until})
    return tuple(sorted(holds.keys() - {row[0] for row in held}))


def finishing(
    worker: str, ends: Sequence[Row], *, asked: bool = False, counted: bool = True
) -> dict[str, Any]:
    """Return the parameters of `job_finish`.

    Args:
        worker: who holds the claims.
        ends: job_id, claim, state, result and reason of each.
        asked: only of those that somebody asked to cancel.
        counted: count them.
    """
    rows = Rows(_FINISH, ends)
    return {"worker": worker, "rows": rows, "asked": int(asked), "counted": int(counted)}


@dataclass(frozen=True, slots=True)
class Unmoved:
    """What became of jobs whose end moved nothing; whose claim was lost is in neither."""

    running: set[tuple[int, str, int]]
    """Id, worker and claim of each: they run, and somebody had their rows locked."""
    completed: set[tuple[int, str, int]]
    """Id, and worker and start of the attempt that completed it."""


@operation(reads=True)
def job_unmoved(ids: Sequence[int]) -> Steps[Unmoved]:
    """Return what became of jobs that `job_settle` did not move."""
    rows = yield Statement("job_unmoved", {"ids": list(ids)}, alone=True)
    return Unmoved(
        {(job_id, worker, claim) for job_id, worker, claim, _ in rows if claim is not None},
        {(job_id, worker, began) for job_id, worker, _, began in rows if began is not None},
    )


@operation()
def job_count(ids: Sequence[int]) -> Steps[None]:
    """Count jobs that their handlers completed, which could not count them."""
    yield Statement("job_count", {"ids": list(ids)}, alone=True)


def _statements(settlements: Sequence[Settlement]) -> Iterator[tuple[str, dict[str, Any]]]:
    # A worker settles its own claims, a rescue those of many.
    groups: dict[tuple[str, str], list[Row]] = {}
    for settlement in settlements:
        name, row = _row(settlement)
        groups.setdefault((name, settlement.claim.worker), []).append(row)
    for (name, worker), rows in groups.items():
        if name == "job_finish":
            yield name, finishing(worker, rows)
        else:
            columns = _BURY if name == "job_bury" else _REQUEUE
            yield name, {"worker": worker, "rows": Rows(columns, rows)}


def _row(settlement: Settlement) -> tuple[str, Row]:
    held = (settlement.claim.job_id, settlement.claim.number)
    match settlement:
        case Finish(state=state, result=result, reason=reason):
            return "job_finish", (*held, str(state), result, reason)
        case Requeue(delay=delay, counted=counted, crashed=crashed, failure=failure):
            record = None if settlement.record is None else str(settlement.record)
            said = (delay, int(counted), int(crashed), record)
            return "job_requeue", (*held, *said, *_failure(failure))
        case Bury(reason=reason, crashed=crashed, failure=failure):
            record = str(settlement.record)
            return "job_bury", (*held, str(reason), int(crashed), record, *_failure(failure))


def _failure(failure: Failed | None) -> Row:
    if failure is None:
        return (None, None, None)
    return (failure.error_type, failure.message, failure.traceback)
