"""What a handler says in its own transaction, fenced by its claim."""

from __future__ import annotations

import json
from typing import Any

from dibs.errors import ClaimLostError
from dibs.model.job import State
from dibs.model.lifecycle import Claim
from dibs.store.ops.settle import finishing
from dibs.store.statement import Statement, Steps, operation


@operation()
def effect_take(claim: Claim, name: str) -> Steps[tuple[bool, Any]]:
    """Mark the block `name` of a job as done; return whether it was not, and its result if it was.

    Raises:
        ClaimLostError: the claim does not hold any more; nothing was marked.
    """
    mark = {"id": claim.job_id, "name": name}
    # The mark first, which waits for another attempt that is about to leave it: when the claim is
    # looked at after that, it holds, or the other attempt has taken the job over.
    taken = yield Statement("effect_take", mark)
    if not (yield Statement("claim_held", _shown(claim))):
        raise ClaimLostError(claim.job_id)
    if taken:
        return True, None
    rows = yield Statement("effect_get", mark)
    result = rows[0][0] if rows else None
    return False, None if result is None else json.loads(result)


@operation()
def effect_undo(job_id: int, name: str) -> Steps[None]:
    """Take the mark of a block back, which failed."""
    yield Statement("effect_undo", {"id": job_id, "name": name}, alone=True)


@operation()
def effect_keep(job_id: int, name: str, result: str) -> Steps[None]:
    """Keep the result of a block, as JSON, for later attempts."""
    yield Statement("effect_keep", {"id": job_id, "name": name, "result": result}, alone=True)


@operation()
def job_complete(claim: Claim, result: str | None) -> Steps[None]:
    """End a job as completed in the transaction of its handler.

    Raises:
        ClaimLostError: the claim does not hold any more.
    """
    # Ends are taken past rows that are locked. Whoever has this one, the worker that cancels it or
    # a rescuer, is waited for: then the claim holds, or it is lost.
    if not (yield Statement("claim_lock", _shown(claim))):
        raise ClaimLostError(claim.job_id)
    # Not counted here: the counter would be locked until the handler commits, and with it every
    # end of that kind on this worker. The worker counts it when the attempt ends; if it dies or
    # loses the database between the two, a figure is lost, never a job.
    end = (claim.job_id, claim.number, str(State.COMPLETED), result, None)
    yield Statement("job_finish", finishing(claim.worker, [end], counted=False))
    if claim.counted:
        yield Statement("slots_leave", {"ids": [claim.job_id]})


def _shown(claim: Claim) -> dict[str, Any]:
    return {"id": claim.job_id, "claim": claim.number, "worker": claim.worker}
