"""What a worker makes ready before it takes jobs."""

from __future__ import annotations

import asyncio
from typing import Any, cast

import pytest

from dibs.services import promote
from dibs.services.promote import Promote
from dibs.store import Store
from dibs.store.ops.workers import BATCH
from dibs.store.statement import Operation


class Backlog:
    """A database with so many batches of due jobs."""

    def __init__(self, batches: float) -> None:
        self.batches = batches
        self.taken = 0

    async def arun(self, operation: Operation[Any]) -> list[str]:
        assert operation.name == "job_promote"
        await asyncio.sleep(0)
        self.taken += 1
        return ["mail"] * (BATCH if self.taken <= self.batches else 1)


async def catch_up(backlog: Backlog) -> None:
    async with asyncio.timeout(10):
        await Promote(cast("Store", backlog), lambda: None).catch_up()


def test_what_came_due_is_ready_before_the_first_claim():
    backlog = Backlog(7)
    asyncio.run(catch_up(backlog))
    assert backlog.taken == 8


def test_a_backlog_without_end_does_not_keep_it_from_its_work(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(promote, "CATCH_UP_SECONDS", 0.02)
    backlog = Backlog(float("inf"))
    asyncio.run(catch_up(backlog))
    assert backlog.taken > 1
