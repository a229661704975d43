"""Several workers on one event loop, which share nothing but the database."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any

from dibs import Dibs
from tests.support.database import query
from tests.support.waiting import WITHIN


def work_off(
    app: Dibs,
    url: str,
    workers: int = 3,
    *,
    within: float = WITHIN,
    meanwhile: Callable[[], object] | None = None,
    **options: Any,
) -> None:
    """Run workers until every job has ended; fail when that takes longer than `within` seconds.

    Args:
        app: whose jobs, and whose handlers.
        url: its database.
        workers: how many.
        within: seconds.
        meanwhile: called again and again in a thread while they work.
        options: of each worker.
    """

    async def watch() -> None:
        async with asyncio.timeout(within):
            while await asyncio.to_thread(query, url, "SELECT 1 FROM dibs_jobs LIMIT 1"):
                if meanwhile is not None:
                    await asyncio.to_thread(meanwhile)
                await asyncio.sleep(0.02)

    async def run() -> None:
        crowd = [app.worker(**options) for _ in range(workers)]
        running = [asyncio.create_task(worker.arun()) for worker in crowd]
        try:
            await watch()
        finally:
            for worker in crowd:
                worker.stop()
            await asyncio.gather(*running)

    asyncio.run(run())
