"""One app used by many at once: threads, tasks, and transactions that others wait for."""

from __future__ import annotations

import asyncio
import fcntl
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, contextmanager
from typing import Any

import pytest

from tests.conformance.callers import EVERY_KIND, Caller, caller_of, is_async
from tests.conformance.face import Face
from tests.conformance.spies import raw, sqlite_path
from tests.support.waiting import WITHIN, eventually


def confirm(order: int) -> None: ...


@contextmanager
def another_enqueueing(handler: Any, url: str) -> Iterator[None]:
    """Let a thread enqueue, and go on as soon as it waits at SQLite's gate."""
    with ThreadPoolExecutor(1) as pool:
        other = pool.submit(handler.enqueue, 2)
        if url.startswith("sqlite"):
            with open(f"{sqlite_path(url)}-gate-b", "a") as gate:
                eventually(lambda: _is_locked(gate.fileno()), "the other to wait")
        yield
        assert other.result(WITHIN).args == {"order": 2}


def _is_locked(file: int) -> bool:
    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return True
    fcntl.flock(file, fcntl.LOCK_UN)
    return False


@pytest.mark.parametrize("mode", ["async"])
@pytest.mark.parametrize(("engine", "kind"), EVERY_KIND)
class TestTransactions:
    def test_do_not_wait_for_those_that_wait_for_them(self, face: Face, kind: str, tables_url: str):
        handler = face.handler(confirm)
        assert face.jobs.list() == []
        raw(tables_url, "CREATE TABLE orders (id INTEGER)")
        with caller_of(kind, tables_url, face.runner) as caller:
            caller.begin()
            caller.execute("INSERT INTO orders VALUES (1)")
            with another_enqueueing(handler.target, tables_url):
                handler.using(connection=caller.connection).enqueue(1)
                caller.commit()
        assert face.rows() == (2, 2)

    def test_side_by_side_on_one_loop(self, face: Face, kind: str, tables_url: str):
        handler = face.handler(confirm).target
        assert face.jobs.list() == []

        async def enqueue(caller: Caller) -> None:
            await handler.using(connection=caller.connection).aenqueue(1)
            committed = caller.connection.commit()  # nothing to do where each commits by itself
            if is_async(kind):
                await committed

        async def all_at_once(callers: list[Caller]) -> None:
            await asyncio.gather(*map(enqueue, callers))

        with ExitStack() as closing:
            callers = [
                closing.enter_context(caller_of(kind, tables_url, face.runner)) for _ in range(4)
            ]
            face.wait(all_at_once(callers))
        assert face.rows() == (4, 4)


class TestThreads:
    def test_eight_at_once(self, face: Face):
        """Each with the sync face, or with a loop of its own."""
        handler = face.handler(confirm).target
        start = threading.Barrier(8)

        async def await_them(first: int) -> list[int]:
            ids = [(await handler.aenqueue(n)).id for n in range(first, first + 20)]
            await handler._client.aclose()
            return ids

        def enqueue(first: int) -> list[int]:
            start.wait(WITHIN)
            if face.runner is not None:
                return asyncio.run(await_them(first))
            return [handler.enqueue(n).id for n in range(first, first + 20)]

        with ThreadPoolExecutor(8) as pool:
            ids = [id_ for part in pool.map(enqueue, range(0, 160, 20)) for id_ in part]
        assert len(set(ids)) == 160
        assert face.rows() == (160, 160)

    def test_tasks_at_once(self, face: Face):
        handler = face.handler(confirm).target

        async def all_at_once() -> list[Any]:
            return await asyncio.gather(*(handler.aenqueue(n) for n in range(100)))

        with asyncio.Runner() as runner:
            jobs = runner.run(all_at_once())
            runner.run(handler._client.aclose())
        assert len({job.id for job in jobs}) == 100
        assert face.rows() == (100, 100)
