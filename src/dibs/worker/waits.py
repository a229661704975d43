"""Waiting for one thing or another, and telling a loop from another thread."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine
from typing import Any


async def within(seconds: float, wait: Coroutine[Any, Any, object]) -> bool:
    """Return whether `wait` was over within `seconds`."""
    try:
        await asyncio.wait_for(wait, seconds)
    except TimeoutError:
        return False
    return True


async def first(*waits: Coroutine[Any, Any, object]) -> None:
    """Wait until one of `waits` is over, and give the others up."""
    tasks = [asyncio.create_task(wait) for wait in waits]
    try:
        done, _ = await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
        for task in done:
            task.result()
    finally:
        for task in tasks:
            task.cancel()


def call_soon(loop: asyncio.AbstractEventLoop, callback: Callable[[], None]) -> None:
    """Call `callback` on a loop from another thread; a loop that is closed calls nothing."""
    try:
        loop.call_soon_threadsafe(callback)
    except RuntimeError:  # the loop is closed: the worker is gone
        return
