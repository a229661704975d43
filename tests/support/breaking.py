"""Operations that fail at each of their statements, before or after it."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from itertools import count
from typing import Any

import pytest

from dibs import Dibs, StoreError
from dibs.store.runner import Call, Calls, Script
from dibs.store.statement import Operation

BROKEN = "SELECT json_extract('{', '$')"
"""Each engine refuses it in its own way."""


class BrokeError(Exception):
    """The connection broke."""


class Breaker:
    """Has the operation of one name fail at its statement number `at`; 0 is never."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch, name: str) -> None:
        self.name = name
        self.at = 0
        self.after = False
        """Whether the statement succeeds, and its answer gets lost; otherwise it fails."""
        self.committed = False
        """Whether what failed stands: the answer of an only statement got lost."""
        self._calls = Script.calls

        def breaking(script: Script, operation: Operation[Any]) -> Calls[Any]:
            return self._breaking(script, operation)

        monkeypatch.setattr(Script, "calls", breaking)

    def _breaking(self, script: Script, operation: Operation[Any]) -> Calls[Any]:
        calls = self._calls(script, operation)
        if operation.name != self.name or not self.at:
            return (yield from calls)
        call = first = next(calls)
        for turn in count(1):
            broken = turn == self.at
            rows = yield Call(BROKEN, {}, call.alone) if broken and not self.after else call
            try:
                call = calls.send(rows)
            except StopIteration as done:
                self.committed = broken and first.alone
                if not broken:
                    return done.value
            if broken:
                raise BrokeError
        return None


Run = Callable[[Operation[Any]], None]


@contextmanager
def running(app: Dibs, face: str) -> Iterator[Run]:
    """Lend a function that carries operations out through one face of the app; close that."""
    if face == "sync":
        with closing(app):
            yield app.store.run
        return
    with asyncio.Runner() as runner:
        try:
            yield lambda operation: runner.run(app.store.arun(operation))
        finally:
            runner.run(app.aclose())


def fail_everywhere(
    rows: Callable[[], object], run: Run, operation: Operation[Any], breaker: Breaker
) -> int:
    """Fail before and after every statement, then succeed; return how often it failed.

    `rows` returns what the database holds, which a failure must not have changed. What is one
    statement without a transaction cannot be done by halves: when its answer is lost, it has
    succeeded.
    """
    before, failed = rows(), 0
    while True:
        breaker.after = failed % 2 == 1
        breaker.at = failed // 2 + 1
        try:
            run(operation)
        except (StoreError, BrokeError):
            failed += 1
        else:
            break
        if breaker.committed:
            break
        assert rows() == before, f"statement {breaker.at} left something behind"
    breaker.at = 0
    return failed
