"""Turns: no note is lost that comes in beside a look."""

from __future__ import annotations

import asyncio
from typing import cast

from dibs.store import Store
from dibs.store.ops.fair import Filled
from dibs.worker.turns import Turns


def test_a_fair_queue_that_is_noted_beside_a_look_in_vain_is_looked_at_again():
    looks = []

    class Tables:
        async def arun(self, look: object) -> Filled:
            looks.append(look)
            if len(looks) == 1:
                turns.nudge()  # what another worker commits just now is not seen by this look
            return Filled(0, waiting=False)

    turns = Turns(cast(Store, Tables()), ["mail"], fair=["mail"], limited=False)

    async def fill_thrice() -> None:
        turns.nudge()
        for _ in range(3):
            await turns.fill(1)

    asyncio.run(fill_thrice())
    assert len(looks) == 2
