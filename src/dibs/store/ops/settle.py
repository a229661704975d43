"""Ending attempts, fenced by their claims, many at once."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

from dibs.model.job import State
from dibs.model.lifecycle import Bury, Failed, Finish, Requeue, Settlement
from dibs.store.ops.limits import lock_keys
from dibs.store.statement import Row, Rows, Statement, Steps, operation

_FINISH = ("job_id", "claim", "state", "result", "reason")
_REQUEUE = (
    "job_id", "claim", "delay", "counted", "crashed", "outcome", "error_type", "error",
    "traceback",
)  # fmt: skip
_BURY = (
    "job_id", "claim", "reason", "crashed", "outcome", "error_type", "error", "traceback"
)  # fmt: skip


class Moved(set[int]):
    """The ids of the jobs that settlements moved."""

    ready: frozenset[str] = frozenset()
    """Queues in which others may start now, for whom slots came free."""
    unknown: tuple[str, ...] = ()
    """Keys that were to be held, of limits that nobody declared."""


@operation()
def job_settle(settlements: Sequence[Settlement]) -> Steps[Moved]:
    """Carry `settlements` out and return the ids of the jobs they moved.

    The slots of limits that those held are free then, for others who become ready.

    What would run again, and somebody asked to cancel while it ran, ends as cancelled instead.

    An id that is missing had lost its claim: the job was rescued meanwhile, and nothing of the
    late settlement took effect. Or, on PostgreSQL, somebody had its row locked, such as a handler
    that is about to complete it: `job_unmoved` tells which.
    """
    # None, too, takes a statement: runners need one.
    statements = list(_statements(settlements)) or [("job_finish", finishing([]))]
    moved = Moved()
    counted = [one.claim.job_id for one in settlements if one.claim.counted]
    alone = len(statements) == 1 and not counted
    for name, params in statements:
        moved.update(row[0] for row in (yield Statement(name, params, alone)))
        rows = params["rows"].rows
        if name == "job_requeue" and (left := [row for row in rows if row[0] not in moved]):
            # Somebody asked meanwhile to cancel them, or their claims are lost, which guards them,
            # or they were locked: only what somebody asked for is cancelled.
            ends = [(row[0], row[1], str(State.CANCELLED), None, None) for row in left]
            rows = yield Statement("job_finish", finishing(ends, asked=True))
            moved.update(row[0] for row in rows)
    ended = [job_id for job_id in counted if job_id in moved]
    holds = _holds(one for one in settlements if one.claim.job_id in moved)
    if holds:
        keys = yield Statement("slots_keys", {"ids": ended})
        yield lock_keys([*holds, *(row[0] for row in keys)])
        until = Rows(("key", "delay"), sorted(holds.items()))
        held = yield Statement("limit_hold", {"rows": until})
        moved.unknown = tuple(sorted(holds.keys() - {row[0] for row in held}))
    # Locks in a statement of their own: what others did under the keys is seen in the next one.
    if ended and (yield Statement("slots_lock", {"ids": ended})):
        freed = yield Statement("slots_free", {"ids": ended})
        moved.ready = frozenset(row[0] for row in freed)
    return moved


def _holds(moved: Iterable[Settlement]) -> dict[str, int]:
    """Return the keys of limits that are to be held, each with the microseconds for which."""
    holds: dict[str, int] = {}
    for one in moved:
        failure = None if isinstance(one, Finish) else one.failure
        if failure is not None and failure.hold is not None:
            delay = failure.retry_after or 0
            holds[failure.hold] = max(delay, holds.get(failure.hold, 0))
    return holds


def finishing(ends: Sequence[Row], *, asked: bool = False, counted: bool = True) -> dict[str, Any]:
    """Return the parameters of `job_finish` for `ends`: job_id, claim, state, result, reason."""
    return {"rows": Rows(_FINISH, ends), "asked": int(asked), "counted": int(counted)}


@dataclass(frozen=True, slots=True)
class Unmoved:
    """What became of jobs whose end moved nothing; whose claim was lost is in neither."""

    running: set[tuple[int, int]]
    """Their ids and claims: they run, and somebody had their rows locked."""
    completed: set[tuple[int, int]]
    """Their ids, and when the attempt that completed them began."""


@operation(reads=True)
def job_unmoved(ids: Sequence[int]) -> Steps[Unmoved]:
    """Return what became of jobs that `job_settle` did not move."""
    rows = yield Statement("job_unmoved", {"ids": list(ids)}, alone=True)
    return Unmoved(
        {(job_id, claim) for job_id, claim, _ in rows if claim is not None},
        {(job_id, began) for job_id, _, began in rows if began is not None},
    )


@operation()
def job_count(ids: Sequence[int]) -> Steps[None]:
    """Count jobs that their handlers completed, which could not count them."""
    yield Statement("job_count", {"ids": list(ids)}, alone=True)


def _statements(settlements: Sequence[Settlement]) -> Iterator[tuple[str, dict[str, Any]]]:
    groups: dict[str, list[Row]] = {"job_finish": [], "job_requeue": [], "job_bury": []}
    for settlement in settlements:
        name, row = _row(settlement)
        groups[name].append(row)
    if ends := groups["job_finish"]:
        yield "job_finish", finishing(ends)
    for name, columns in (("job_requeue", _REQUEUE), ("job_bury", _BURY)):
        if rows := groups[name]:
            yield name, {"rows": Rows(columns, rows)}


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
