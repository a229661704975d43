"""Turns under limits: starting what has room, and waking those who wait.

A job with limits waits, blocked, under a key. It is made ready when there may be room under that
key, stands in its line like any other, and is claimed; only then is it decided, with all its keys
locked, whether it starts. So whoever makes ready too many does no harm, and an urgent job that
comes in last is the first to be decided on.

Each who makes room looks who waits: the end of a job in its own transaction, and for what comes
in, for rates, and for what others left behind, `limit_wake`, which every worker runs.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Generator, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass

from dibs.model.limits import Meter, Turns, rule_from_json, turns
from dibs.model.uses import QUEUE, Use, cost_under, key_parts, uses_from_json
from dibs.store.ops.claim import Claimed
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
    blocked: Counter[str]
    """How many wait under each key; those of full queues are ready again, and not among them."""


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


@operation()
def limit_start(
    worker: str, pending: Sequence[Claimed], counted: Collection[str]
) -> Steps[Started]:
    """Start those of the jobs that a claim left to be decided which have room under their limits.

    Args:
        worker: who claimed them.
        pending: the jobs, in the order in which they are to start.
        counted: the queues of which only so many may run at once.
    """
    needs = [(job.id, _uses(job, counted)) for job in pending]
    yield lock_keys(use.key for _, uses in needs for use in uses)
    keys = yield from read_keys({use.key for _, uses in needs for use in uses}, most=1)
    decided = turns(needs, keys.meters, keys.now)
    found: list[Claimed] = []
    if decided.start:
        found = yield from _start(worker, pending, decided, dict(needs), keys.now)
    if decided.blocked:
        rows = [
            (job_id, None if use.key.startswith(QUEUE) else use.key)
            for job_id, use in decided.blocked.items()
        ]
        yield Statement("limit_block", {"rows": Rows(("job_id", "key"), rows)})
    yield from save_keys(_after_start(needs, decided, keys, {job.id for job in found}))
    names = (use.key for use in decided.blocked.values())
    return Started(found, Counter(key for key in names if not key.startswith(QUEUE)))


def _after_start(
    needs: Sequence[tuple[int, Sequence[Use]]], decided: Turns, keys: Keys, taken: set[int]
) -> Iterator[tuple[Meter, int | None, bool]]:
    """Yield what is to be kept of the keys after jobs were started, and when to look at them."""
    now, meters = keys.now, decided.meters
    if len(taken) < len(decided.start):  # somebody else has the others, and they use nothing
        started = [(job_id, uses) for job_id, uses in needs if job_id in taken]
        meters = turns(started, keys.meters, now).meters
    looks: dict[str, int] = {}
    for use in decided.blocked.values():
        look = meters[use.key].look_at(now, use.cost)
        looks[use.key] = min(look, looks.get(use.key, look))
    for key in decided.passed:
        # The turn of a job that cannot take it is the next one's.
        if keys.waiting[key]:
            cost = keys.cost[key]
            look = now if meters[key].takes(cost, now) else meters[key].look_at(now, cost)
            looks[key] = min(look, looks.get(key, look))
    for key, meter in sorted(meters.items()):
        if key in looks or meter.full_at != keys.meters[key].full_at:
            yield meter, None if key.startswith(QUEUE) else looks.get(key), False


def _uses(job: Claimed, counted: Collection[str]) -> list[Use]:
    own = uses_from_json(job.limits)
    if job.queue not in counted:
        return own
    return [Use(QUEUE + job.queue, QUEUE + job.queue, 1), *own]


def _start(
    worker: str,
    pending: Sequence[Claimed],
    decided: Turns,
    needs: Mapping[int, Sequence[Use]],
    now: int,
) -> Generator[Statement, RowList, list[Claimed]]:
    meters = decided.meters
    slots = [
        (use.key, job_id)
        for job_id in decided.start
        for use in needs[job_id]
        if (rule := meters[use.key].rule) is not None and rule.rate is None
    ]
    rows = yield Statement(
        "limit_start",
        {
            "worker": worker,
            "at": now,
            "ids": decided.start,
            "slots": Rows(("key", "job_id"), slots),
        },
    )
    records = {row[0]: row for row in rows}
    holding = {job_id for _, job_id in slots}
    return [
        Claimed._make((*records[job.id], job.rank, worker, job.queue_timeout, job.id in holding))
        for job in pending
        if job.id in records
    ]


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
def limit_tend() -> Steps[frozenset[str]]:
    """Take up what workers left behind that died: decisions, and slots; return what is ready now.

    Whose claim is being decided at this moment is only claimed once more.
    """
    queues = {row[0] for row in (yield Statement("limit_recover", {"count": BATCH}))}
    yield Statement("slots_sweep", {})
    yield Statement("limit_forget", {"count": BATCH})
    return frozenset(queues)
