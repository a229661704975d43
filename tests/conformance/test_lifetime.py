"""An app outlives what it was used in: a close, an event loop, the process that made it."""

from __future__ import annotations

import asyncio
import multiprocessing
import os
import sys
import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor

import pytest

from dibs import Dibs
from dibs.model.job import State
from tests.conformance.face import Face
from tests.support.waiting import WITHIN


def confirm(order: int) -> None: ...


def in_child(work: Callable[[], None]) -> None:
    """Run `work` in a forked process, and fail if it fails."""
    child = os.fork()
    if child == 0:
        try:
            work()
        except BaseException as error:
            print(repr(error), file=sys.__stderr__, flush=True)
            os._exit(1)
        os._exit(0)
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0


class TestClosing:
    def test_an_app_never_used(self, face: Face):
        face.close()

    def test_twice(self, face: Face):
        face.handler(confirm).enqueue(1)
        face.close()
        face.close()

    def test_and_going_on(self, face: Face):
        handler = face.handler(confirm)
        for order in range(3):
            handler.enqueue(order)
            face.close()
        assert [job.args["order"] for job in face.jobs.list(state="ready")] == [0, 1, 2]

    def test_while_others_use_it(self, face: Face):
        """What is under way ends first, and what comes later opens its own connections."""
        handler = face.handler(confirm).target
        app: Dibs = face.target
        going = threading.Semaphore(0)

        def enqueue(_: int) -> None:
            for order in range(20):
                handler.enqueue(order)
                going.release()

        def close(_: int) -> None:
            for _ in range(10):
                assert going.acquire(timeout=WITHIN)
                app.close()

        with ThreadPoolExecutor(5) as pool:
            closed = pool.submit(close, 0)
            list(pool.map(enqueue, range(4)))
            closed.result(WITHIN)
        assert face.stats().states[State.READY] == 80


class TestEventLoops:
    @pytest.mark.parametrize("closed", [True, False], ids=["closed", "left open"])
    def test_one_after_the_other(self, face: Face, closed: bool):
        handler = face.handler(confirm).target

        async def enqueue(order: int) -> None:
            await handler.aenqueue(order)
            await face.target.jobs.aget(1)
            if closed:
                await face.target.aclose()

        # Often: a loop can end at any moment of what its connections are doing.
        for order in range(10):
            asyncio.run(enqueue(order))
        assert face.rows() == (10, 10)

    def test_both_faces_by_turns(self, face: Face):
        handler = face.handler(confirm).target

        async def enqueue() -> None:
            await handler.aenqueue(1)
            handler.enqueue(2)
            await face.target.aclose()

        handler.enqueue(0)
        asyncio.run(enqueue())
        handler.enqueue(3)
        assert [job.args["order"] for job in face.jobs.list(state="ready")] == [0, 1, 2, 3]


class TestForks:
    def test_a_child_opens_its_own(self, face: Face):
        handler = face.handler(confirm)
        assert handler.enqueue(0).id == 1

        def work() -> None:
            child = Face(face.target, asyncio.Runner() if face.runner else None)
            child.jobs.get(1)
            assert child._wrap(handler.target).enqueue(1).id == 2
            child.close()

        in_child(work)
        assert handler.enqueue(2).id == 3
        assert [job.args["order"] for job in face.jobs.list(state="ready")] == [0, 1, 2]

    def test_a_child_that_uses_nothing_takes_nothing_away(self, face: Face):
        handler = face.handler(confirm)
        handler.enqueue(0)
        in_child(face.target.close)
        in_child(lambda: None)
        handler.enqueue(1)
        assert face.rows() == (2, 2)

    def test_children_at_once(self, face: Face):
        handler = face.handler(confirm)
        handler.enqueue(0)
        context = multiprocessing.get_context("fork")
        children = [context.Process(target=handler.target.enqueue, args=(n,)) for n in range(4)]
        for child in children:
            child.start()
        for child in children:
            child.join(WITHIN)
            assert child.exitcode == 0
        assert face.rows() == (5, 5)
