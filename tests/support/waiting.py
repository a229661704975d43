"""Wait for what happens, never for time to pass."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import TypeVar

T = TypeVar("T")

WITHIN = 30.0
"""Seconds that only end a failure: far more than anything needs that works."""
LOOK_SECONDS = 0.005
"""Between two looks at what is waited for, by default."""


def eventually(
    probe: Callable[[], T], what: str, *, within: float = WITHIN, every: float = LOOK_SECONDS
) -> T:
    """Return the first true value of `probe`; `every` is longer where looking costs something.

    Raises:
        AssertionError: it had none within `within` seconds.
    """
    deadline = time.monotonic() + within
    while True:
        began = time.monotonic()
        if found := probe():
            return found
        now = time.monotonic()
        assert now < deadline, f"waited {within:g} s in vain for {what}"
        time.sleep(max(every, now - began))  # looking leaves what is looked at half of the time
