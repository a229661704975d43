"""Pausing queues and kinds: what is paused, and the records of kinds."""

from __future__ import annotations

from collections.abc import Generator
from dataclasses import dataclass

from dibs.model.pauses import NewPause, Pause, Paused, What, pauses_of
from dibs.model.times import from_micros
from dibs.store.ops.jobs import moment
from dibs.store.statement import Row, RowList, Statement, Steps, operation


@dataclass(frozen=True, slots=True)
class Kind:
    """A kind of job, as somebody may pause it."""

    name: str
    paused: Pause | None
    """None where its jobs start as always."""


def _paused(row: Row) -> Paused:
    what, name, since, until, author, reason = row
    return Paused(what, name, Pause(from_micros(since), moment(until), author, reason))


def read_pause(what: What, name: str) -> Generator[Statement, RowList, Pause | None]:
    """Return the pause of a queue or a kind, None where it is not paused."""
    rows = yield Statement("pause_get", {"what": what, "name": name})
    return _paused(rows[0]).pause if rows else None


def set_pause(
    what: What, name: str, pause: NewPause
) -> Generator[Statement, RowList, Pause | None]:
    """Pause a queue or a kind, and return the pause, None where its time is over already."""
    yield Statement("pause_set", {"what": what, "name": name, **pause._asdict()})
    return (yield from read_pause(what, name))


@operation(reads=True)
def pause_list() -> Steps[list[Paused]]:
    """Return what is paused now: kinds, then queues, by name."""
    return [_paused(row) for row in (yield Statement("pause_list", {}, alone=True))]


@operation()
def kind_pause(name: str, pause: NewPause) -> Steps[Kind]:
    """Have no job of a kind start, until it is resumed or the pause is over."""
    return Kind(name, (yield from set_pause("kind", name, pause)))


@operation()
def kind_resume(name: str) -> Steps[Kind]:
    """Let jobs of a kind start again; one that is not paused is left alone."""
    yield Statement("pause_end", {"what": "kind", "name": name}, alone=True)
    return Kind(name, None)


@operation(reads=True)
def kind_get(name: str) -> Steps[Kind]:
    """Return a kind, with its pause if it is paused."""
    return Kind(name, (yield from read_pause("kind", name)))


@operation(reads=True)
def kind_list() -> Steps[list[Kind]]:
    """Return the kinds that are paused, by name."""
    paused = pauses_of("kind", (yield from pause_list().steps()))
    return [Kind(name, pause) for name, pause in paused.items()]
