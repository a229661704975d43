"""What a job needs of its limits, and the keys under which that is counted."""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Any, NamedTuple

from dibs.errors import InvalidJobError
from dibs.model.unique import readable, template_value

QUEUE = "queue:"
"""Before the name of a queue whose jobs are counted."""
LIMIT = "limit:"
"""Before the name of a limit, and the value of its key, as JSON."""


def limit_key(name: str, value: str | None = None) -> str:
    """Return the text under which a limit, or one value of its key, is counted."""
    return f"{LIMIT}{json.dumps([name] if value is None else [name, readable(value)])}"


def key_parts(key: str) -> tuple[str, str | None]:
    """Return the limit's name and the value in a key; of a queue's key that key, and None."""
    if key.startswith(QUEUE):
        return key, None
    name, *value = json.loads(key.removeprefix(LIMIT))
    return name, value[0] if value else None


def in_words(key: str) -> str:
    """Return a key under which a job waits, for people.

    Example:
        >>> in_words('limit:["stripe", "acme"]')
        'limit stripe, key acme'
    """
    if not key.startswith(LIMIT):
        return key
    name, value = key_parts(key)
    return f"limit {name}" if value is None else f"limit {name}, key {value}"


class Use(NamedTuple):
    """What a job needs of a limit."""

    key: str
    """Where it is counted: the name of the limit with the value of its key, as text."""
    name: str
    cost: int


def use_of(name: str, value: Any, cost: int) -> Use:
    """Return what a block needs of a limit, under a value of its key, or None for none.

    Raises:
        InvalidJobError: a value that has no JSON.
    """
    try:
        key = limit_key(
            name, None if value is None else template_value("{key}", "limit", {"key": value})
        )
    except (TypeError, ValueError) as error:
        raise InvalidJobError(
            f"limit {name!r}: key={value!r} has no JSON ({error}); give a text, a number, or what "
            "else JSON holds"
        ) from error
    return Use(key, name, cost)


def uses_to_json(uses: Sequence[Use]) -> str | None:
    """Return what is stored with a job."""
    return json.dumps(uses) if uses else None


def uses_from_json(text: str | None) -> list[Use]:
    """Return what a job needs, as it was stored."""
    return [] if text is None else [Use(*use) for use in json.loads(text)]


def hold_key(name: str, value: Any, text: str | None) -> str:
    """Return the key under which a job holds a limit up, by what it needs as it was stored.

    That of `value`; where that is None its own key of the limit, and where it has none, the one
    without a value.
    """
    if value is not None:
        return use_of(name, value, 1).key
    own = (use.key for use in uses_from_json(text) if use.name == name)
    return next(own, limit_key(name))


def cost_under(key: str, text: str | None) -> int:
    """Return what a job costs under a key, of what it needs as it was stored; 1 where it can't."""
    return next((use.cost for use in uses_from_json(text) if use.key == key), 1)
