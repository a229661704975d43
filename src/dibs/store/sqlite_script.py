"""How SQLite spells statements: named parameters, lists and tables as JSON, time bound."""

from __future__ import annotations

import json
import time
from collections.abc import Mapping
from typing import Any

from dibs.store.base import Clock
from dibs.store.catalog import compiled
from dibs.store.runner import Script
from dibs.store.statement import Rows


def system_clock() -> int:
    """Return this machine's time, which is the database's: the file is on this machine."""
    return time.time_ns() // 1000


def make_script(clock: Clock) -> Script:
    """Return SQLite's script: named parameters, lists and tables as JSON, time as a parameter."""

    def encode(params: Mapping[str, Any]) -> dict[str, Any]:
        bound: dict[str, Any] = {"now": clock()}
        for name, value in params.items():
            if isinstance(value, Rows):
                bound[name] = json.dumps(value.rows)
            else:
                bound[name] = json.dumps(value) if isinstance(value, list) else value
        return bound

    return Script(compiled("sqlite", None, placeholder), encode)


def placeholder(name: str) -> str:
    """Return how a statement says where a parameter goes."""
    return f":{name}"
