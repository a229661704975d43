"""Ending attempts, fenced by their claims, many at once."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from dibs.model.lifecycle import Bury, Failed, Finish, Requeue, Settlement
from dibs.store.statement import Row, Rows, Statement, Steps, operation

_FINISH = ("job_id", "claim", "state", "result", "reason")
_REQUEUE = (
    "job_id", "claim", "delay", "counted", "crashed", "error_type", "error", "traceback"
)  # fmt: skip
_BURY = ("job_id", "claim", "reason", "crashed", "error_type", "error", "traceback")


@operation()
def job_settle(settlements: Sequence[Settlement]) -> Steps[set[int]]:
    """Carry `settlements` out and return the ids of the jobs they moved.

    An id that is missing had lost its claim: the job was rescued meanwhile, and nothing of the
    late settlement took effect.
    """
    # None, too, takes a statement: runners need one.
    statements = list(_statements(settlements)) or [("job_finish", Rows(_FINISH, []))]
    moved: set[int] = set()
    for name, table in statements:
        rows = yield Statement(name, {"rows": table}, alone=len(statements) == 1)
        moved.update(row[0] for row in rows)
    return moved


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
            flags = (int(counted), int(crashed))
            return "job_requeue", (*held, delay, *flags, *_failure(failure))
        case Bury(reason=reason, crashed=crashed, failure=failure):
            return "job_bury", (*held, str(reason), int(crashed), *_failure(failure))


def _failure(failure: Failed | None) -> Row:
    if failure is None:
        return (None, None, None)
    return (failure.error_type, failure.message, failure.traceback)
