"""What a job waits for under a limit, or for its tenant's turn, in plain words."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime

from dibs.explain.figures import many, moment_of, span
from dibs.model.uses import QUEUE
from dibs.store.ops.explain import TenantLine
from dibs.store.ops.limit_keys import KeyUse

NAMED = 5
"""Jobs that are named; others are counted."""


def limited(key: KeyUse, at: datetime) -> Iterator[str]:
    """Yield why nothing starts under a key at the moment, a sentence each."""
    name = _name(key)
    if key.held_until is not None:
        yield (
            f"{name} is held until {moment_of(key.held_until)}, for {span(key.held_until - at)} "
            "more: a handler was told to wait."
        )
    elif key.opens_at is not None:
        yield (
            f"{name} allows {key.rule}: it gives the next turn in {span(key.opens_at - at)}, at "
            f"{moment_of(key.opens_at)}."
        )
    else:
        rest = key.taken - len(key.holders[:NAMED])
        more = f" and {rest:,} more" if rest > 0 else ""
        by = ", ".join(str(job_id) for job_id in key.holders[:NAMED])
        run = f"job {by} runs" if key.taken == 1 else f"jobs {by}{more} run"
        yield f"{name} allows {key.rule}, and {run}; it waits for the end of one."
    if key.waiting > 1:
        yield f"{many(key.waiting, 'job')} wait under it."


def tenants_turn(line: TenantLine) -> Iterator[str]:
    """Yield whose turn a job of a fair queue waits for, a sentence each."""
    whose = "the jobs without a tenant" if line.tenant is None else f"its tenant {line.tenant}"
    first = "it is the first one" if not line.ahead else f"{many(line.ahead, 'job')} of it go first"
    yield f"It waits for the turn of {whose}: {first}."
    if line.tenants > 1:
        yield f"{line.tenants:,} tenants of its queue take turns."


def _name(key: KeyUse) -> str:
    if key.limit.startswith(QUEUE):
        return f"Queue {key.limit.removeprefix(QUEUE)}"
    return f"Limit {key.limit}" + ("" if key.value is None else f" for key {key.value}")
