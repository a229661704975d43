"""Keys that make jobs unique: how they are declared, and the text that stands in the database."""

from __future__ import annotations

import hashlib
import json
import string
from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import Any, Literal

from dibs.errors import ConfigurationError, InvalidJobError
from dibs.model.times import Duration, duration

SHORTEST_PERIOD = 0.001
"""Seconds."""
READABLE = 200
"""Longest key text, in bytes, that is stored as it is; of longer ones the hash is."""
EVERYTHING = ("kind", "args")
PLACES = frozenset({"kind", "args", "queue"})
"""What `by` may hold beside names of args."""


class During(StrEnum):
    """How long a job holds a key."""

    WAITING = "waiting"
    """Until a worker takes the job."""
    ACTIVE = "active"
    """Until the job ends."""
    PERIOD = "period"
    """For a time, whatever becomes of the job."""


class OnConflict(StrEnum):
    """What an enqueue does where another job holds its key."""

    SKIP = "skip"
    REPLACE = "replace"
    RETURN = "return"
    RAISE = "raise"


@dataclass(frozen=True, slots=True)
class JobKey:
    """A key that a new job asks for."""

    text: str
    during: During
    period: int | None = None
    """Microseconds from the enqueue, where it is held for a time."""
    on_conflict: OnConflict = OnConflict.RETURN


@dataclass(frozen=True, slots=True)
class Unique:
    """At most one job with the same key at a time.

    Args:
        by: what makes two jobs of a kind the same: "args" for all args, names of single args,
            "queue". The kind always counts. Default ("kind", "args").
        key: the key itself instead of `by`: a text, or a template as "{order_id}", filled from the
            args. Two braces stand for one.
        during: how long the key is held: "waiting" until a worker takes the job, "active" until it
            ends, or seconds or a timedelta from its enqueue. Default "active".
        on_conflict: what an enqueue does while another job holds the key: "return" that job, "skip"
            (the same for one; `enqueue_many` leaves it out of its ids), "replace" what it will do,
            or "raise" DuplicateJobError. Default "return".

    Raises:
        InvalidJobError: a value that is none of these.

    Example:
        >>> @app.job(unique=Unique(by=["order_id"], during="waiting"))
        ... def invoice(order_id: int, note: str) -> None: ...
    """

    by: Collection[str] = EVERYTHING
    key: str | None = None
    during: Literal["waiting", "active"] | Duration = "active"
    on_conflict: Literal["skip", "replace", "return", "raise"] = "return"

    def __post_init__(self) -> None:
        """Refuse what cannot work."""
        names = isinstance(self.by, Collection) and not isinstance(self.by, str | Mapping)
        if not names or not self.by or not all(isinstance(name, str) for name in self.by):
            raise InvalidJobError(
                f"by={self.by!r}: expected 'kind', 'args', 'queue' or names of args, "
                'for example by=["order_id"]'
            )
        object.__setattr__(self, "by", tuple(self.by))
        if self.key is not None and self.by != EVERYTHING:
            raise InvalidJobError(f"by={self.by!r} and key={self.key!r}: give one of them")
        if self.key is not None:
            check_template(self.key)
        if self.on_conflict not in list(OnConflict):
            known = ", ".join(OnConflict)
            raise InvalidJobError(f"on_conflict={self.on_conflict!r}: expected one of {known}")
        if isinstance(self.during, str) and self.during not in {During.WAITING, During.ACTIVE}:
            raise InvalidJobError(
                f"during={self.during!r}: expected 'waiting', 'active', or seconds or a timedelta"
            )
        self._period()

    def _period(self) -> int | None:
        return None if isinstance(self.during, str) else check_period(self.during, "during")

    @property
    def names(self) -> set[str]:
        """The names of the args that the key is made of."""
        return set(self.by) - PLACES if self.key is None else set(template_names(self.key))

    def job_key(self, kind: str, queue: str, args: str) -> JobKey:
        """Return the key of a job.

        Args:
            kind: its kind.
            queue: its queue.
            args: its args as JSON text.

        Raises:
            InvalidJobError: the key's template names an arg that the job does not have.
        """
        period = self._period()
        during = During(self.during) if isinstance(self.during, str) else During.PERIOD
        text = _text("unique", [kind, *self._parts(kind, queue, args)])
        return JobKey(text, during, period, OnConflict(self.on_conflict))

    def _parts(self, kind: str, queue: str, args: str) -> list[Any]:
        values = json.loads(args)
        if self.key is not None:
            return [template_value(self.key, f"unique of {kind!r}", values)]
        parts: list[Any] = [queue] if "queue" in self.by else []
        if "args" in self.by:
            return [values, *parts]
        return [{name: values[name] for name in self.names if name in values}, *parts]


def idempotency(key: str, kind: str, period: int) -> JobKey:
    """Return the key by which the same call is known again for `period` microseconds."""
    return JobKey(_text("idempotency", [kind, key]), During.PERIOD, period)


def check_names(unique: Unique, kind: str, known: Callable[[str], bool]) -> None:
    """Refuse a key of args that jobs of `kind` never have.

    Raises:
        InvalidJobError: `known` denies a name.
    """
    for name in sorted(unique.names):
        if not known(name):
            place = "key template" if unique.key is not None else "by"
            raise InvalidJobError(
                f"unique of {kind!r}: {place} names {name!r}, which is no arg of its handler"
            )


def check_key(key: str, name: str) -> str:
    """Return a key that a caller chose.

    Raises:
        InvalidJobError: no text, an empty one, or one that is no Unicode.
    """
    if not isinstance(key, str) or not key:
        raise InvalidJobError(f"{name}={key!r}: expected a text, for example 'order-17'")
    try:
        key.encode()
    except UnicodeEncodeError as error:
        raise InvalidJobError(f"{name}={key!r}: expected text that UTF-8 can hold") from error
    return key


def check_period(value: Duration, name: str) -> int:
    """Return a length of time that a key is held, in microseconds.

    Raises:
        InvalidJobError: neither seconds nor a timedelta, or out of range.
    """
    try:
        return duration(value, name, minimum=SHORTEST_PERIOD)
    except ConfigurationError as error:
        raise InvalidJobError(str(error)) from error


def check_template(template: str) -> None:
    """Refuse what is no template of a key.

    Raises:
        InvalidJobError: no text, an empty one, or braces that hold no names.
    """
    template_names(check_key(template, "key"))


def template_names(template: str) -> list[str]:
    """Return the names in the braces of a template.

    Raises:
        InvalidJobError: the braces hold something else than names.
    """
    try:
        fields = [part[1:] for part in string.Formatter().parse(template) if part[1] is not None]
    except ValueError as error:
        raise InvalidJobError(
            f"key={template!r}: {error}; write {{{{ and }}}} for braces of its own"
        ) from error
    for name, form, conversion in fields:
        if form or conversion or not str(name).isidentifier():
            raise InvalidJobError(
                f"key={template!r}: expected names of args in braces, as in 'order-{{order_id}}'"
            )
    return [str(name) for name, *_ in fields]


def template_value(template: str, whose: str, values: Mapping[str, Any]) -> str:
    """Return a template filled from args.

    Raises:
        InvalidJobError: it names an arg that is not there; the message says of `whose`.
    """
    try:
        return template.format_map(
            {k: v if isinstance(v, str) else _canonical(v) for k, v in values.items()}
        )
    except KeyError as error:
        raise InvalidJobError(
            f"{whose}: key={template!r} names {error}, which this job is not given"
        ) from error


def _canonical(value: Any) -> str:
    return json.dumps(value, sort_keys=True, separators=(",", ":"), ensure_ascii=False)


def _text(sort: str, parts: list[Any]) -> str:
    """Return what is stored: readable, and without two meanings."""
    return f"{sort}:{readable(_canonical(parts))}"


def readable(text: str) -> str:
    """Return a text as it is, or its hash where it is long."""
    if len(text.encode()) > READABLE:
        return f"sha256:{hashlib.sha256(text.encode()).hexdigest()}"
    return text
