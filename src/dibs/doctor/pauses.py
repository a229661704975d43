"""What is paused: for how long, and how much waits for it."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import timedelta
from shlex import quote

from dibs.doctor.finding import Check, Finding, ok, warning
from dibs.explain.figures import many, span
from dibs.model.job import WAITING, State
from dibs.model.pauses import Paused, pauses_of
from dibs.model.times import from_micros
from dibs.store.ops.doctor import Facts
from dibs.store.ops.stats import PlaceCount

LONG = timedelta(hours=1)
"""A pause that has lasted so long may have been forgotten."""


def check_pauses(facts: Facts) -> Iterator[Finding]:
    """Say what has been paused for long, while jobs wait that could start."""
    now = from_micros(facts.now)
    long = [one for one in facts.paused if now - one.pause.since >= LONG]
    held = [(one, count) for one in long if (count := _waiting(facts, one))]
    if not held:
        yield ok(
            Check.PAUSES,
            f"{many(len(facts.paused), 'pause')}, none of an hour for which jobs wait"
            if facts.paused
            else "no queue and no kind is paused",
        )
    for one, count in held:
        yield warning(
            Check.PAUSES,
            f"{one.what} {one.name!r} has been paused for {span(now - one.pause.since)}, "
            f"{one.pause}; {many(count, 'job')} that could start wait for its end",
            f"if it was forgotten: dibs {one.what}s resume {quote(one.name)}",
        )


def startable(facts: Facts) -> list[PlaceCount]:
    """Return where jobs stand whose queue and kind are not paused."""
    queues, kinds = pauses_of("queue", facts.paused), pauses_of("kind", facts.paused)
    return [one for one in facts.places if one.queue not in queues and one.kind not in kinds]


def is_due(place: PlaceCount, now: int) -> bool:
    """Return whether some of these jobs could run, or count as running."""
    return place.state not in {State.DEAD, State.SCHEDULED} or (
        place.state is State.SCHEDULED and place.oldest <= now
    )


def _waiting(facts: Facts, paused: Paused) -> int:
    """Return how many jobs wait for the end of a pause."""
    return sum(
        place.count
        for place in facts.places
        if place.state in WAITING
        and is_due(place, facts.now)
        and (place.queue if paused.what == "queue" else place.kind) == paused.name
    )
