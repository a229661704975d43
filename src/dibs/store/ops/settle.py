"""Ending attempts, fenced by their claims, many at once."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from dibs.model.job import State
from dibs.model.lifecycle import Bury, Failed, Finish, Requeue, Settlement
from dibs.store.statement import Row, Rows, Statement, Steps, operation

_FINISH = ("job_id", "claim", "state", "result", "reason")
_REQUEUE = (
    "job_id", "claim", "delay", "counted", "crashed", "outcome", "error_type", "error",
    "traceback",
)  # fmt: skip
_BURY = (
    "job_id", "claim", "reason", "crashed", "outcome", "error_type", "error", "traceback"
)  # fmt: skip


@operation()
def job_settle(settlements: Sequence[Settlement]) -> Steps[set[int]]:
    """Carry `settlements` out and return the ids of the jobs they moved.

    What would run again, and somebody asked to cancel while it ran, ends as cancelled instead.

    An id that is missing had lost its claim: the job was rescued meanwhile, and nothing of the
    late settlement took effect.
    """
    # None, too, takes a statement: runners need one.
    statements = list(_statements(settlements)) or [("job_finish", Rows(_FINISH, []))]
    moved: set[int] = set()
    alone = len(statements) == 1
    for name, table in statements:
        moved.update(row[0] for row in (yield Statement(name, {"rows": table}, alone)))
        if name == "job_requeue" and (left := [row for row in table.rows if row[0] not in moved]):
            # Somebody asked meanwhile to cancel them, or their claims are lost, which guards them.
            ends = [(row[0], row[1], str(State.CANCELLED), None, None) for row in left]
            rows = yield Statement("job_finish", {"rows": Rows(_FINISH, ends)})
            moved.update(row[0] for row in rows)
    return moved


@operation(reads=True)
def job_completed(ids: Sequence[int]) -> Steps[set[tuple[int, int]]]:
    """Return which of the jobs are completed: their ids, and when the attempt that did it began."""
    rows = yield Statement("job_completed", {"ids": list(ids)}, alone=True)
    return {(job_id, started_at) for job_id, started_at in rows}


def _statements(settlements: Sequence[Settlement]) -> Iterator[tuple[str, Rows]]:
    groups: dict[str, list[Row]] = {"job_finish": [], "job_requeue": [], "job_bury": []}
    for settlement in settlements:
        name, row = _row(settlement)
        groups[name].append(row)
    columns = {"job_finish": _FINISH, "job_requeue": _REQUEUE, "job_bury": _BURY}
    for name, rows in groups.items():
        if rows:
            yield name, Rows(columns[name], rows)


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
