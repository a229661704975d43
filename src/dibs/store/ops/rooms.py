"""Room under limits that handlers take for a block, while their jobs run."""

from __future__ import annotations

from dataclasses import dataclass

from dibs.errors import ClaimLostError, ConfigurationError
from dibs.model.lifecycle import Claim
from dibs.model.limits import turns
from dibs.model.uses import Use
from dibs.store.ops.limit_turns import admit
from dibs.store.ops.limits import Kept, lock_keys, read_keys, save_keys
from dibs.store.statement import Rows, Statement, Steps, operation


@dataclass(frozen=True, slots=True)
class Taken:
    """There was room."""

    part: int | None = None
    """Which slot of the job it is; None where nothing is to be given back."""


@dataclass(frozen=True, slots=True)
class Later:
    """There was none."""

    wait: int | None
    """Microseconds until there may be; None where a slot has to come free."""


@operation()
def room_take(claim: Claim, use: Use) -> Steps[Taken | Later]:
    """Take room under a key for a block of a running job, if there is some.

    Raises:
        ClaimLostError: the claim does not hold any more.
        ConfigurationError: nobody declared the limit, or the block would wait for its own job.
    """
    held = {"id": claim.job_id, "claim": claim.number, "worker": claim.worker}
    at = {"key": use.key, "id": claim.job_id}
    yield lock_keys([use.key])
    if not (yield Statement("claim_held", held)):
        raise ClaimLostError(claim.job_id)
    keys = yield from read_keys([use.key], most=1)
    meter, now = keys.meters[use.key], keys.now
    if meter.rule is None and not (yield Statement("limit_get", {"name": use.name})):
        raise ConfigurationError(
            f"ctx.limit({use.name!r}): no limit has this name; declare it before the worker "
            f"starts: app.limits.declare([Limit(name={use.name!r}, rate=…)])"
        )
    decided = turns([(claim.job_id, [use])], keys.meters, now)
    slots = None if meter.rule is None else meter.rule.concurrency
    if decided.start:
        yield from save_keys([Kept(decided.meters[use.key], keys.offers[use.key], None)])
        if slots is None:
            return Taken()
        return Taken((yield Statement("slot_take", {**at, "claim": claim.number}))[0][0])
    if slots == 1 and (yield Statement("slot_own", at)):
        raise ConfigurationError(
            f"ctx.limit({use.name!r}): the job itself holds the only slot while it runs, so this "
            "would wait for its own end; leave it out, or take the limit from the kind"
        )
    opens = meter.opens_at(use.cost)
    return Later(opens - now if opens > now else None)


@operation()
def room_free(claim: Claim, key: str, part: int) -> Steps[frozenset[str]]:
    """Give a slot back to who waits for it; return the queues in which more may start now."""
    yield lock_keys([key])
    slot = {"key": key, "id": claim.job_id, "part": part, "claim": claim.number}
    freed = yield Statement("slot_free", slot)
    if not freed:
        return frozenset()
    if freed[0][1] is not None:
        return frozenset((yield from admit((), {key: 1})))
    rows = yield Statement("limit_admit", {"rows": Rows(("key", "count"), [(key, 1)])})
    return frozenset(queue for _, queue in rows)
