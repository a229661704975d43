"""Values on the command line that click has no type for."""

from __future__ import annotations

import json
import math
import sys
from collections.abc import Iterable
from datetime import datetime
from typing import Any, TypeVar

import click

from dibs.cli.failures import Unusable
from dibs.errors import DibsError
from dibs.model.job import Priority, check_priority
from dibs.model.sizes import size
from dibs.model.ticks import Missed
from dibs.model.times import to_micros


class WholeNumber(click.IntRange):
    """A whole number in a range."""

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> int:
        """Return it as an int; what is none is called so."""
        try:
            number = int(value)
        except ValueError:
            self.fail(f"{value!r} is not a whole number", param, ctx)
        return int(super().convert(number, param, ctx))


class Seconds(click.FloatRange):
    """A length of time in seconds."""

    def __init__(self, at_least: float = 0) -> None:
        """Accept finite numbers from `at_least`."""
        super().__init__(min=at_least)

    def convert(
        self, value: Any, param: click.Parameter | None, ctx: click.Context | None
    ) -> float:
        """Return it as a float."""
        try:
            number = float(value)
        except ValueError:
            number = math.nan
        if not math.isfinite(number) or number < (self.min or 0):
            self.fail(
                f"{value!r}: expected seconds, a finite number of at least {self.min:g}",
                param, ctx,
            )  # fmt: skip
        return number


NEVER = "never"
FOR_EVER = "ever"


class SecondsOr(Seconds):
    """A length of time in seconds, or a word."""

    def __init__(self, word: str, at_least: float = 0) -> None:
        """Accept `word`, and finite numbers from `at_least`."""
        super().__init__(at_least)
        self._word = word

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Any:
        """Return it as a float, or the word as it is."""
        return value if value == self._word else super().convert(value, param, ctx)


DIGITS = 18
"""A longer number is a slip of the finger wherever a weight or a count is meant."""

JOB_ID = WholeNumber(min=1, max=2**63 - 1)


def priority(value: str) -> int:
    """Return a priority given as an integer or as the name of a level.

    Raises:
        BadParameter: neither, or out of range.
    """
    try:
        return check_priority(int(Priority.__members__.get(value.upper(), value)))
    except DibsError as error:
        raise click.BadParameter(str(error)) from error
    except ValueError as error:
        levels = ", ".join(Priority.__members__)
        raise click.BadParameter(f"{value!r}: expected an integer or one of {levels}") from error


def memory(value: str) -> int:
    """Return a size in bytes, written as `512MB`.

    Raises:
        BadParameter: something else.
    """
    try:
        return size(value, "size")
    except DibsError as error:
        raise click.BadParameter(str(error)) from error


Key = TypeVar("Key")
Number = TypeVar("Number", int, int | None)


def number_of_priority(value: str) -> tuple[int, int]:
    """Return a priority with a number, written as `HIGH=2` or `10=2`.

    Raises:
        BadParameter: something else.
    """
    level, _, number = value.rpartition("=")
    if not _is_number(number) or not level:
        raise click.BadParameter(f"{value!r}: expected a priority and a number, as in 10=2")
    return priority(level), _positive(value, number)


def weight_of_queue(value: str) -> tuple[str, int | None]:
    """Return a queue's name and its weight, written as `mail=3`; None where it is only the name.

    Raises:
        BadParameter: the weight is below 1 or no whole number.
    """
    name, _, number = value.rpartition("=")
    return (name, _positive(value, number)) if name and _is_number(number) else (value, None)


def _is_number(text: str) -> bool:
    """Return whether a number is meant; what else follows a = belongs to the name before it."""
    try:
        return math.isfinite(float(text))
    except ValueError:
        return False


def _positive(value: str, number: str) -> int:
    if not number.isdecimal() or len(number) > DIGITS or not int(number):
        raise click.BadParameter(f"{value!r}: expected a whole number from 1 behind the =")
    return int(number)


def as_dict(option: str, pairs: Iterable[tuple[Key, Number]]) -> dict[Key, Number]:
    """Return what an option said that was given several times.

    Raises:
        BadParameter: it contradicts itself.
    """
    found: dict[Key, Number] = {}
    for key, number in pairs:
        if found.setdefault(key, number) != number:
            raise click.BadParameter(
                f"{as_pair(key, found[key])} and {as_pair(key, number)}: give one of them",
                param_hint=f"'{option}'",
            )
    return found


def as_pair(key: object, number: int | None) -> str:
    """Return a key and its number as they are written on a command line."""
    return str(key) if number is None else f"{key}={number}"


def moment(value: str) -> datetime:
    """Return a moment given in ISO 8601 with its time zone.

    Raises:
        BadParameter: it is something else, or outside the calendar.
    """
    try:
        found = datetime.fromisoformat(value)
    except ValueError as error:
        raise click.BadParameter(
            f"{value!r}: expected ISO 8601, for example 2030-01-31T08:00:00+02:00"
        ) from error
    if found.utcoffset() is None:
        raise click.BadParameter(f"{value!r} has no time zone: append Z or, say, +02:00")
    try:
        to_micros(found)
    except DibsError as error:
        raise click.BadParameter(str(error)) from error
    return found


def missed(value: str) -> Missed:
    """Return a policy for missed ticks, written as skip, once or all=N.

    Raises:
        BadParameter: something else.
    """
    try:
        return Missed.read(value)
    except DibsError as error:
        raise click.BadParameter(str(error)) from error


def json_object(value: str) -> dict[str, Any]:
    """Return a JSON object as a dictionary; `-` reads it from standard input.

    Raises:
        BadParameter: not JSON, or not an object.
        Unusable: standard input is closed or cannot be read.
    """
    try:
        found = json.loads(_standard_input() if value == "-" else value)
    except (ValueError, RecursionError) as error:
        example = """'{"order_id": 1}'"""
        raise click.BadParameter(
            f"not JSON: {error}; expected an object of args by name, for example {example}"
        ) from error
    if not isinstance(found, dict):
        raise click.BadParameter(
            f"expected a JSON object of args by name, not {json.dumps(found)[:80]}"
        )
    return found


def _standard_input() -> str:
    if sys.stdin is None:
        raise Unusable("standard input is closed; give the JSON as an argument, or pipe it in")
    try:
        return sys.stdin.read()
    except OSError as error:
        raise Unusable(f"standard input cannot be read: {error.strerror}") from error
