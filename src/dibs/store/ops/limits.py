"""Limits: the keys under which is counted, and starting what has room.

A job with limits waits, blocked, under a key. It is made ready when there may be room under that
key (`limit_turns`), stands in its line like any other, and is claimed; only then, within the claim
and with all its keys locked, is it decided whether it starts. So whoever makes ready too many does
no harm, and an urgent job that comes in last is the first to be decided on.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Collection, Generator, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass

from dibs.model.limits import Meter, Turns, rule_from_json, turns
from dibs.model.offers import LineName, Offer, offer_from_row, offer_to_row
from dibs.model.uses import QUEUE, Use, cost_under, key_parts, uses_from_json
from dibs.store.ops.claimed import Claimed
from dibs.store.statement import Row, RowList, Rows, Statement

SAVED = ("key", "full_at", "held_until", "wake_at", "sure", "offered_at", "untaken")


@dataclass(frozen=True, slots=True)
class Started:
    """What became of claimed jobs that have limits."""

    jobs: list[Claimed]
    """Those that run now."""
    waits: bool
    """Whether others wait under their keys; those of full queues are ready again, and do not."""


@dataclass(frozen=True, slots=True)
class Keys:
    """Keys as they were read under their locks."""

    meters: dict[str, Meter]
    waiting: dict[str, int]
    """How many jobs wait under each; no more are counted than was asked for."""
    wake_at: dict[str, int | None]
    """When each is to be looked at."""
    cost: dict[str, int]
    """What the first job costs that waits under each."""
    offers: dict[str, Offer]
    """What became of the turns that each gave."""
    now: int


def start_limited(
    worker: str, jobs: Sequence[Claimed], counted: Collection[str]
) -> Generator[Statement, RowList, Started]:
    """Start those of the jobs that have room under their limits; the others wait for it.

    Part of a claim, which has taken them from their lines.

    Args:
        worker: who claims them.
        jobs: in the order in which they are to start.
        counted: the queues of which only so many may run at once.
    """
    needs = {job.id: _uses(job, counted) for job in jobs}
    named = {use.key for uses in needs.values() for use in uses}
    yield lock_keys(named)
    keys = yield from read_keys(named, most=1)
    decided = turns(needs.items(), keys.meters, keys.now)
    slots = [
        (use.key, job_id)
        for job_id in decided.start
        for use in needs[job_id]
        if (rule := decided.meters[use.key].rule) is not None and rule.rate is None
    ]
    if decided.start:
        table = Rows(("key", "job_id"), slots)
        start = {"worker": worker, "at": keys.now, "ids": decided.start, "slots": table}
        yield Statement("limit_start", start)
    if decided.blocked:
        rows = [
            (job_id, None if use.key.startswith(QUEUE) else use.key)
            for job_id, use in decided.blocked.items()
        ]
        yield Statement("limit_block", {"rows": Rows(("job_id", "key"), rows)})
    claimed: defaultdict[str, set[LineName]] = defaultdict(set)
    for job in jobs:
        for use in needs[job.id]:
            claimed[use.key].add(LineName(job.queue, job.priority))
    yield from save_keys(_after_start(decided, keys, claimed))
    holding = {job_id for _, job_id in slots}
    started = [
        job._replace(started_at=keys.now, counted=job.id in holding)
        for job in jobs
        if job.id not in decided.blocked
    ]
    waits = any(not use.key.startswith(QUEUE) for use in decided.blocked.values())
    return Started(started, waits)


@dataclass(frozen=True, slots=True)
class Kept:
    """What is to be kept of a key."""

    meter: Meter
    offer: Offer
    wake_at: int | None
    """When to look at it, or earlier where that was said."""
    sure: bool = False
    """Whether to look at `wake_at`, whatever was said."""


def _after_start(
    decided: Turns, keys: Keys, claimed: Mapping[str, Collection[LineName]]
) -> Iterator[Kept]:
    """Yield what is to be kept of the keys after jobs of some lines were `claimed` under them."""
    now = keys.now
    looks: dict[str, int] = {}
    for use in decided.blocked.values():
        look = decided.meters[use.key].look_at(now, use.cost)
        looks[use.key] = min(look, looks.get(use.key, look))
    for key in decided.passed:
        # The turn of a job that cannot take it is the next one's.
        if keys.waiting[key]:
            meter, cost = decided.meters[key], keys.cost[key]
            look = now if meter.takes(cost, now) else meter.look_at(now, cost)
            looks[key] = min(look, looks.get(key, look))
    for key, meter in sorted(decided.meters.items()):
        offer = keys.offers[key].claimed(claimed[key])
        taken = offer.untaken != keys.offers[key].untaken
        if taken or key in looks or meter.full_at != keys.meters[key].full_at:
            yield Kept(meter, offer, None if key.startswith(QUEUE) else looks.get(key))


def _uses(job: Claimed, counted: Collection[str]) -> list[Use]:
    own = uses_from_json(job.limits)
    if job.queue not in counted:
        return own
    return [Use(QUEUE + job.queue, QUEUE + job.queue, 1), *own]


def lock_keys(keys: Iterable[str]) -> Statement:
    """Return the statement that locks keys to the end of the transaction.

    In one statement, and in order: who locks some more later may wait for somebody who waits.
    """
    rows = [(key, key_parts(key)[0]) for key in sorted(set(keys))]
    return Statement("limit_lock", {"rows": Rows(("key", "name"), rows)})


def read_keys(keys: Collection[str], most: int) -> Generator[Statement, RowList, Keys]:
    """Return locked keys as they stand; of those who wait under each up to `most` are counted."""
    rows = yield Statement("limit_state", {"keys": sorted(keys), "most": most})
    return Keys(
        {row[0]: Meter(row[0], rule_from_json(row[1]), *row[2:5]) for row in rows},
        {row[0]: row[5] for row in rows},
        {row[0]: row[6] for row in rows},
        {row[0]: cost_under(row[0], row[7]) for row in rows},
        {row[0]: offer_from_row(*row[8:10]) for row in rows},
        rows[0][10] if rows else 0,
    )


def save_keys(kept: Iterable[Kept]) -> Generator[Statement, RowList, None]:
    """Keep how keys stand, and when to look at them."""
    rows: list[Row] = [
        (
            one.meter.key, one.meter.full_at, one.meter.held_until, one.wake_at, int(one.sure),
            *offer_to_row(one.offer),
        )
        for one in kept
    ]  # fmt: skip
    if rows:
        yield Statement("limit_save", {"rows": Rows(SAVED, rows)})
