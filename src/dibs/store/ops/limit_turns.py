"""Turns under limits: making ready who waits, where there is room.

Each who makes room looks who waits: the end of a job in its own transaction, and for what comes
in, for rates, and for what others left behind, `limit_wake`, which every worker runs.

Turns go to the first who wait under a key, whatever line they are in. Where those of a line let
theirs lie, the key remembers it, and passes them over until one of their jobs is claimed.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Generator, Iterator, Mapping, Sequence
from dataclasses import dataclass

from dibs.model.offers import LineName, Offer
from dibs.model.uses import QUEUE, cost_under
from dibs.store.ops.fair import FAIR, fair_join, tenant_of
from dibs.store.ops.limits import Kept, Keys, lock_keys, read_keys, save_keys
from dibs.store.statement import Row, RowList, Rows, Statement, Steps, operation

BATCH = 1000
"""Arrivals, keys or jobs looked at per transaction."""
KEYS = 100
"""Keys that are looked at per transaction because their time has come."""


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
        queues = yield from admit(due, arrived)
    fair = frozenset(tenant_of(key)[0] for key in tenants)
    return Woken(frozenset(queues), fair, found=bool(rows or due))


def admit(
    due: Collection[str], arrived: Mapping[str, int]
) -> Generator[Statement, RowList, set[str]]:
    """Make ready as many under each key as it has room for, and say when to look again.

    Args:
        due: keys, which are locked, to look at because their time has come.
        arrived: others under which something came in, and how much: those before it were told of
            before.
    """
    keys = yield from read_keys({*arrived, *due}, most=BATCH)
    queues = {key.removeprefix(QUEUE) for key in keys.meters if key.startswith(QUEUE)}
    now, most = keys.now, dict(arrived)
    for key in due:
        wake_at = keys.wake_at[key]
        if wake_at is not None and wake_at <= now:  # nobody was quicker
            most[key] = BATCH
    rooms = {key: _room(keys, key, count) for key, count in most.items()}
    lying = [
        key for key, offer in keys.offers.items()
        if key in most and (offer.untaken or (rooms[key] and offer.lies(now)))
    ]  # fmt: skip
    lines = yield from _lines(keys, lying)
    rooms |= {key: _room(keys, key, most[key]) for key in lines}
    moved: Counter[str] = Counter()
    if rows := [(key, n) for key, n in sorted(rooms.items()) if n and key not in lines]:
        admitted = yield Statement("limit_admit", {"rows": Rows(("key", "count"), rows)})
        moved.update(key for key, _ in admitted)
        queues |= {queue for _, queue in admitted}
    offers = dict(keys.offers)
    if rows := [row for key in lines for row in _give(offers, key, lines[key], rooms[key], now)]:
        each = Rows(("key", "queue", "priority", "count"), rows)
        admitted = yield Statement("limit_admit_line", {"rows": each})
        moved.update(key for key, _ in admitted)
        queues |= {queue for _, queue in admitted}
    yield from save_keys(
        Kept(
            keys.meters[key],
            offers[key].looked(now, room=rooms[key] > 0, waiting=keys.waiting[key] > moved[key]),
            _look_again(keys, key, min(moved[key], rooms[key])),
            sure=True,
        )
        for key in most
    )
    return queues


def _room(keys: Keys, key: str, most: int) -> int:
    """Return how many of those who wait under a key there is room for."""
    return min(keys.meters[key].room(keys.now, BATCH, keys.cost[key]), keys.waiting[key], most)


def _give(
    offers: dict[str, Offer], key: str, waiting: Sequence[LineName], room: int, now: int
) -> Iterator[Row]:
    """Yield which lines get turns under a key where some let theirs lie, and how many each.

    One whose turns lie gets one now and then even where there is no room: else nobody would see
    that it takes them again.
    """
    offer = offers[key]
    if offer.lies(now):
        given = waiting if room else [line for line in waiting if line in offer.untaken]
        offers[key] = offer.given(given, now)
    else:
        given = [offer.first(waiting)] if room else []
    for line in given:
        yield key, *line, max(1, room)


def _lines(
    keys: Keys, lying: Collection[str]
) -> Generator[Statement, RowList, dict[str, list[LineName]]]:
    """Return the lines in which jobs wait under keys, by the order of the first of each.

    What the first costs is known by then of the one that gets the next turn.
    """
    if not lying:
        return {}
    found: dict[str, list[LineName]] = {}
    costs: dict[tuple[str, LineName], int] = {}
    for key, *line, limits in (yield Statement("limit_lines", {"keys": sorted(lying)})):
        found.setdefault(key, []).append(LineName(*line))
        costs[key, found[key][-1]] = cost_under(key, limits)
    for key, waiting in found.items():
        keys.cost[key] = costs[key, keys.offers[key].first(waiting)]
    return found


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
