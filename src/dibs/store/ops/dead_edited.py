"""A replay with other args, and with what follows from these."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import NamedTuple

from dibs.model.job import Job, State
from dibs.model.uses import Use, uses_from_json, uses_to_json
from dibs.store.ops.dead import Changed, not_dead, replay
from dibs.store.ops.jobs import read_job
from dibs.store.statement import Statement, Steps, operation


class Edit(NamedTuple):
    """What an edited replay changes."""

    args: str
    """JSON text."""
    was: str | None
    """The unique key that the kind gives the old args; None where it gives none."""
    key: str | None
    """The one it gives the new args."""
    uses: tuple[Use, ...] = ()
    """What a job with the new args needs of its limits."""


@operation()
def dead_replay_edited(job_id: int, edit: Callable[[Job, Sequence[Use]], Edit]) -> Steps[Changed]:
    """Give one letter new attempts with other args, and the unique key and limits of those.

    Args:
        job_id: which one.
        edit: returns what to change, of the job and what it needed of its limits; what it raises
            ends this before anything has changed.

    Raises:
        KeyInUseError: another job holds the new key; nothing has changed.
    """
    job = yield from read_job(job_id)
    if job.state is not State.DEAD:
        raise not_dead(job, "replay")
    [[uses]] = yield Statement("dead_uses", {"id": job_id})
    args, was, key, needs = edit(job, uses_from_json(uses))
    turn = needs[0].key if needs else None
    limits = {"id": job_id, "limits": uses_to_json(needs), "turn": turn, "args": args}
    yield Statement("dead_relimit", limits)
    if key != was:
        yield Statement("dead_rekey", {"id": job_id, "was": was, "key": key})
    change = {"args": args, "base": 0, "done": 0, "gap": 0}
    changed = yield from replay([job_id], None, change)
    for refused in changed.refused:
        raise refused.error  # and the key is what it was
    return changed
