"""What becomes of the jobs of an enqueue whose keys others hold, or each other: pure."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

from dibs.model.job import NewJob
from dibs.model.unique import JobKey, OnConflict


@dataclass(frozen=True, slots=True)
class Fresh:
    """It is stored, and holds `keys`."""

    job: NewJob
    keys: tuple[JobKey, ...]


@dataclass(frozen=True, slots=True)
class Known:
    """Another job holds its key."""

    job: NewJob
    key: JobKey
    holder: int
    """The id of that job."""
    keys: tuple[JobKey, ...]
    """Its other keys, which that job holds too from now on."""


@dataclass(frozen=True, slots=True)
class Again:
    """An earlier job of the same enqueue has its key."""

    key: JobKey
    first: int
    """The place of that job."""


Fate = Fresh | Known | Again


def fates(jobs: Sequence[NewJob], holders: Mapping[str, int]) -> list[Fate]:
    """Decide about the jobs of one enqueue, in their order.

    The first job with a key has it. A later one with `replace` takes that one's place.

    Args:
        jobs: what is to be stored.
        holders: by key, the ids of jobs that hold one already.
    """
    found: list[Fate] = []
    owners: dict[str, int] = {}
    for place, job in enumerate(jobs):
        mine: list[JobKey] = []
        fate: Fate | None = None
        for key in job.keys:
            if key.text in holders:
                fate = Known(job, key, holders[key.text], tuple(mine))
            elif key.text in owners:
                fate = Again(key, owners[key.text])
            if fate is not None:
                break
            mine.append(key)
        fate = fate or Fresh(job, tuple(mine))
        if isinstance(fate, Again):
            _join(found, fate, job, mine)
        first = fate.first if isinstance(fate, Again) else place
        owners |= {key.text: first for key in mine}
        found.append(fate)
    return found


def _join(found: list[Fate], again: Again, job: NewJob, mine: list[JobKey]) -> None:
    """Give the first job with a key the further keys of a later one, perhaps all that it does."""
    first = found[again.first]
    if not isinstance(first, Again):
        replaced = again.key.on_conflict is OnConflict.REPLACE
        keys = (*first.keys, *mine)
        found[again.first] = replace(first, keys=keys, job=job if replaced else first.job)
