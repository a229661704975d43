"""Reading what is in use of limits: who holds slots, how many wait, and until when."""

from __future__ import annotations

from collections.abc import Collection, Generator
from dataclasses import dataclass
from datetime import datetime

from dibs.model.limits import Rule
from dibs.model.times import from_micros
from dibs.model.uses import key_parts
from dibs.store.ops.limits import read_keys
from dibs.store.statement import RowList, Statement

KEYS = 100
"""Keys of a limit that are shown."""
MOST = 1000
"""Jobs that wait under a key, and slots in all, that are counted."""


@dataclass(frozen=True, slots=True)
class KeyUse:
    """A key under which something is counted, or waits, as of one moment."""

    limit: str
    """The name of the limit; of a queue with a concurrency, `queue:` and its name."""
    value: str | None
    """The value of its key; None for a limit without a key."""
    rule: Rule | None
    """What holds; None limits nothing."""
    taken: int
    """Slots that are taken."""
    holders: list[int]
    """Ids of the jobs that hold them, no more than 1,000 of all keys that were read."""
    waiting: int
    """Jobs that wait under it; no more than 1,000 are counted."""
    opens_at: datetime | None
    """When a rate gives the next one its turn, or the hold ends; None where that is now, or where a
    slot has to come free."""
    held_until: datetime | None
    """Until when nothing starts, because a handler said so; None where nobody did."""

    @property
    def full(self) -> bool:
        """Whether nothing may start under it now."""
        if self.opens_at is not None:
            return True
        most = None if self.rule is None else self.rule.concurrency
        return most is not None and self.taken >= most


def read_uses(keys: Collection[str]) -> Generator[Statement, RowList, list[KeyUse]]:
    """Return what is in use of those of the keys that anybody used, in their order."""
    if not keys:
        return []
    found = yield from read_keys(keys, most=MOST)
    holders: dict[str, dict[int, None]] = {}
    for key, job_id in (yield Statement("slots_holders", {"keys": sorted(keys), "most": MOST})):
        holders.setdefault(key, {})[job_id] = None
    uses = []
    for key in keys:
        if meter := found.meters.get(key):
            opens, now = meter.opens_at(), found.now
            uses.append(
                KeyUse(
                    *key_parts(key),
                    rule=meter.rule,
                    taken=meter.used,
                    holders=list(holders.get(key, ())),
                    waiting=found.waiting[key],
                    opens_at=from_micros(opens) if opens > now else None,
                    held_until=from_micros(meter.held_until) if meter.held_until > now else None,
                )
            )
    return uses


def limit_uses(name: str) -> Generator[Statement, RowList, list[KeyUse]]:
    """Return what is in use of the first keys of a limit."""
    rows = yield Statement("limit_keys", {"name": name, "most": KEYS})
    return (yield from read_uses([row[0] for row in rows]))
