"""Turns under limits: starting what has room, and waking those who wait.

A job with limits waits, blocked, under a key. It is made ready when there may be room under that
key, stands in its line like any other, and is claimed; only then, within the claim and with all its
keys locked, is it decided whether it starts. So whoever makes ready too many does no harm, and an
urgent job that comes in last is the first to be decided on.

Each who makes room looks who waits: the end of a job in its own transaction, and for what comes
in, for rates, and for what others left behind, `limit_wake`, which every worker runs.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Generator, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass

from dibs.model.limits import Meter, Turns, rule_from_json, turns
from dibs.model.uses import QUEUE, Use, cost_under, key_parts, uses_from_json
from dibs.store.ops.claimed import Claimed
from dibs.store.ops.fair import FAIR, fair_join, tenant_of
from dibs.store.statement import Row, RowList, Rows, Statement, Steps, operation

BATCH = 1000
"""Arrivals, keys or jobs looked at per transaction."""
KEYS = 100
"""Keys that are looked at per transaction because their time has come."""


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
    yield from save_keys(_after_start(decided, keys))
    holding = {job_id for _, job_id in slots}
    started = [
        job._replace(started_at=keys.now, counted=job.id in holding)
        for job in jobs
        if job.id not in decided.blocked
    ]
    waits = any(not use.key.startswith(QUEUE) for use in decided.blocked.values())
    return Started(started, waits)


def _after_start(decided: Turns, keys: Keys) -> Iterator[tuple[Meter, int | None, bool]]:
    """Yield what is to be kept of the keys after jobs were started, and when to look at them."""
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
        if key in looks or meter.full_at != keys.meters[key].full_at:
            yield meter, None if key.startswith(QUEUE) else looks.get(key), False


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
        rows[0][8] if rows else 0,
    )


def save_keys(
    kept: Iterable[tuple[Meter, int | None, bool]],
) -> Generator[Statement, RowList, None]:
    """Keep how keys stand; each with when to look at it, and whether that is sure."""
    rows: list[Row] = [
        (meter.key, meter.full_at, meter.held_until, wake_at, int(sure))
        for meter, wake_at, sure in kept
    ]
    if rows:
        columns = ("key", "full_at", "held_until", "wake_at", "sure")
        yield Statement("limit_save", {"rows": Rows(columns, rows)})


@operation(reads=True)
def limit_look() -> Steps[tuple[bool, int | None]]:
    """Return whether there are arrivals, and the microseconds until a key is to be looked at."""
    arrived, next_in = (yield Statement("limit_look", {}, alone=True))[0]
    return bool(arrived), next_in


@dataclass(frozen=True, slots=True)
class Woken:
    """What a look at the keys brought."""

    ready: frozenset[str]
    """Queues in which more may start now."""
    fair: frozenset[str]
    """Queues in which tenants have new jobs."""
    found: bool
    """Whether there was anything to look at; others may have been quicker."""


@operation()
def limit_wake() -> Steps[Woken]:
    """Make ready who may start now: under keys that have arrivals, or whose time has come."""
    arrived: Counter[str] = Counter()
    rows = yield Statement("arrivals_take", {"count": BATCH})
    for key, count in rows:
        arrived[key] += count
    tenants = sorted(key for key in arrived if key.startswith(FAIR))
    if tenants:
        yield from fair_join(tenants)
        for key in tenants:
            del arrived[key]
    due = [row[0] for row in (yield Statement("limit_due", {"count": KEYS}))]
    queues: set[str] = set()
    if arrived or due:
        yield lock_keys({*arrived, *due})
        queues = yield from _admit(due, arrived)
    fair = frozenset(tenant_of(key)[0] for key in tenants)
    return Woken(frozenset(queues), fair, found=bool(rows or due))


def _admit(
    due: Collection[str], arrived: Mapping[str, int]
) -> Generator[Statement, RowList, set[str]]:
    """Make ready as many under each key as it has room for, and say when to look again.

    Of arrivals no more than came in: those before them were told of before.
    """
    keys = yield from read_keys({*arrived, *due}, most=BATCH)
    queues = {key.removeprefix(QUEUE) for key in keys.meters if key.startswith(QUEUE)}
    now, most = keys.now, dict(arrived)
    for key in due:
        wake_at = keys.wake_at[key]
        if wake_at is not None and wake_at <= now:  # nobody was quicker
            most[key] = BATCH
    rooms = {
        key: min(keys.meters[key].room(now, BATCH, keys.cost[key]), keys.waiting[key], count)
        for key, count in most.items()
    }
    moved: Counter[str] = Counter()
    if rows := [(key, count) for key, count in sorted(rooms.items()) if count]:
        admitted = yield Statement("limit_admit", {"rows": Rows(("key", "count"), rows)})
        moved.update(key for key, _ in admitted)
        queues |= {queue for _, queue in admitted}
    yield from save_keys(
        (keys.meters[key], _look_again(keys, key, moved[key]), True) for key in most
    )
    return queues


def _look_again(keys: Keys, key: str, moved: int) -> int | None:
    """Return when to look at a key again, of whose jobs some were made ready."""
    if keys.waiting[key] <= moved:
        return None
    meter, cost = keys.meters[key], keys.cost[key]
    # As if those had started: a rate has so much less to give.
    ahead = meter.after(cost + moved - 1, keys.now) if moved else meter
    return ahead.look_at(keys.now, 1 if moved else cost)


@operation()
def limit_tend() -> Steps[None]:
    """Take up the slots that workers left behind that died; `limit_wake` looks who gets them."""
    yield Statement("slots_sweep", {})
    yield Statement("limit_forget", {"count": BATCH})
