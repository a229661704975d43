"""Values on the command line that click has no type for."""

from __future__ import annotations

import json
import sys
from datetime import datetime
from typing import Any

import click

from dibs.errors import DibsError
from dibs.model.job import Priority, check_priority
from dibs.model.times import to_micros

JOB_ID = click.IntRange(min=1, max=2**63 - 1)


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


def moment(value: str) -> datetime:
    """Return a moment given in ISO 8601 with its time zone.

    Raises:
        BadParameter: it is something else.
    """
    try:
        found = datetime.fromisoformat(value)
    except ValueError as error:
        raise click.BadParameter(
            f"{value!r}: expected ISO 8601, for example 2030-01-31T08:00:00+02:00"
        ) from error
    try:
        to_micros(found)
    except DibsError as error:
        raise click.BadParameter(f"{value!r} has no time zone: append Z or, say, +02:00") from error
    return found


def json_object(value: str) -> dict[str, Any]:
    """Return a JSON object as a dictionary; `-` reads it from standard input.

    Raises:
        BadParameter: not JSON, or not an object.
    """
    try:
        found = json.loads(sys.stdin.read() if value == "-" else value)
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
