"""The settler: which ends go out together, and what it says of those that came too late."""

from __future__ import annotations

import asyncio
import logging
from typing import Any, cast

import pytest

from dibs import Dibs
from dibs.model.lifecycle import Returned, Settlement
from dibs.store import Store
from dibs.store.ops.claimed import Claimed
from dibs.store.ops.settle import Settled, Unmoved
from dibs.store.statement import Operation
from dibs.worker.settle import Settler

VALID = 2
"""The claim that holds."""


class OneClaim:
    """A database in which one claim of each job is valid."""

    def __init__(self) -> None:
        self.batches: list[list[tuple[int, int]]] = []

    async def arun(self, operation: Operation[Any]) -> Any:
        if operation.name == "job_unmoved":
            return Unmoved(set(), set())
        settlements: list[Settlement] = operation.steps.args[0]  # type: ignore[attr-defined]
        claims = [(end.claim.job_id, end.claim.number) for end in settlements]
        self.batches.append(claims)
        return Settled({job for job, number in claims if number == VALID}, set())


def test_two_ends_of_one_job_go_out_apart(caplog: pytest.LogCaptureFixture):
    """A worker may have lost a job and claimed it again, before its first end could go out."""
    app = Dibs("sqlite:///never-opened.db")

    @app.job
    async def nothing() -> None: ...

    database = OneClaim()
    settler = Settler(cast("Store", database), app.handlers)
    for number in (VALID - 1, VALID):
        settler.add(claimed(7, number), Returned(None))
    settler.add(claimed(8, VALID), Returned(None))

    async def settle_all() -> None:
        while settler.held():
            await settler.tick()

    with caplog.at_level(logging.WARNING):
        asyncio.run(settle_all())
    assert database.batches == [[(7, 1), (8, 2)], [(7, 2)]]
    assert ["job 7 was taken over" in text for text in caplog.messages] == [True]


def claimed(job_id: int, number: int) -> Claimed:
    row = (job_id, "nothing", "default", 0, "{}", number, 1, 5, 0, 0, 0, 0, None, None, None)
    return Claimed(*row, rank=0, worker="w")
