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
from collections.abc import Collection, Generator, Iterable, Mapping, Sequence
from dataclasses import dataclass

from dibs.model.limits import Meter, Turns, rule_from_json, turns
from dibs.model.uses import QUEUE, Use, key_parts, uses_from_json
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
    missing: tuple[str, ...] = ()
    """Keys without a row. Then nothing was decided: make them, and ask again."""


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
    keys = sorted({use.key for _, uses in needs for use in uses})
    locked = {row[0] for row in (yield Statement("limit_lock", {"keys": keys}))}
    if missing := tuple(key for key in keys if key not in locked):
        return Started([], Counter(), missing)
    meters, _, now = yield from _state(keys)
    decided = turns(needs, meters, now)
    found: list[Claimed] = []
    if decided.start:
        found = yield from _start(worker, pending, decided, dict(needs), now)
    if decided.blocked:
        rows = [
            (job_id, None if key.startswith(QUEUE) else key)
            for job_id, key in decided.blocked.items()
        ]
        yield Statement("limit_block", {"rows": Rows(("job_id", "key"), rows)})
    blocked = Counter(key for key in decided.blocked.values() if not key.startswith(QUEUE))
    yield from _save(
        (meter, meter.look_at(now) if blocked[key] else None, False)
        for key, meter in sorted(decided.meters.items())
        if blocked[key] or meter.full_at != meters[key].full_at
    )
    return Started(found, blocked)


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
    return [
        Claimed._make((*records[job.id], job.rank, job.queue_timeout, True))
        for job in pending
        if job.id in records
    ]


def _state(
    keys: Collection[str],
) -> Generator[Statement, RowList, tuple[dict[str, Meter], dict[str, int], int]]:
    """Return keys as they stand, how many wait under each, and the time."""
    rows = yield Statement("limit_state", {"keys": list(keys), "most": BATCH})
    meters = {row[0]: Meter(row[0], rule_from_json(row[1]), *row[2:5]) for row in rows}
    return meters, {row[0]: row[5] for row in rows}, rows[0][6] if rows else 0


def _save(
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


@operation()
def limit_make(keys: Collection[str]) -> Steps[None]:
    """Make the rows of keys that have none."""
    rows = [(key, key_parts(key)[0]) for key in sorted(keys)]
    yield Statement("limit_make", {"rows": Rows(("key", "name"), rows)}, alone=True)


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
    keys = sorted({*arrived, *due})
    if keys:
        # First, while nothing is locked: whoever makes the same row is waited for.
        if arrived:
            made = [(key, key_parts(key)[0]) for key in sorted(arrived)]
            yield Statement("limit_make", {"rows": Rows(("key", "name"), made)})
        yield Statement("limit_lock", {"keys": keys})
        queues = yield from _admit(keys, dict.fromkeys(due, BATCH), arrived)
    return Woken(frozenset(queues), frozenset(tenant_of(key)[0] for key in tenants))


def _admit(
    keys: Sequence[str], due: Mapping[str, int], arrived: Mapping[str, int]
) -> Generator[Statement, RowList, set[str]]:
    """Make ready as many under each key as it has room for, and say when to look again.

    Of arrivals no more than came in: those before them were told of before.
    """
    meters, waiting, now = yield from _state(keys)
    queues = {key.removeprefix(QUEUE) for key in meters if key.startswith(QUEUE)}
    rooms = {
        key: min(meter.room(now, BATCH), waiting[key], max(due.get(key, 0), arrived.get(key, 0)))
        for key, meter in meters.items()
    }
    moved: Counter[str] = Counter()
    if rows := [(key, count) for key, count in sorted(rooms.items()) if count]:
        admitted = yield Statement("limit_admit", {"rows": Rows(("key", "count"), rows)})
        moved.update(key for key, _ in admitted)
        queues |= {queue for _, queue in admitted}
    yield from _save(
        (meter, _look_again(meter, waiting[key], moved[key], now), True)
        for key, meter in sorted(meters.items())
    )
    return queues


def _look_again(meter: Meter, waiting: int, moved: int, now: int) -> int | None:
    if waiting <= moved:
        return None
    ahead = meter
    for _ in range(moved):  # as if they had started: a rate has so much less to give
        ahead = ahead.after(1, now)
    return ahead.look_at(now)


@operation()
def limit_tend() -> Steps[frozenset[str]]:
    """Take up what workers left behind that died: decisions, and slots; return what is ready now.

    Whose claim is being decided at this moment is only claimed once more.
    """
    queues = {row[0] for row in (yield Statement("limit_recover", {"count": BATCH}))}
    yield Statement("slots_sweep", {})
    yield Statement("limit_forget", {"count": BATCH})
    return frozenset(queues)
