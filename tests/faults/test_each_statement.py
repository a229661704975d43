"""Scenario 7: every operation fails at each of its statements: all of it happened, or nothing."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from contextlib import closing, suppress
from itertools import count
from typing import Any

import pytest

from dibs import ClaimLostError, Dibs, DuplicateJobError, JobStateError, State, StoreError
from dibs.model.job import AttemptOutcome, DeadReason, NewJob
from dibs.model.lifecycle import Bury, Finish, Requeue
from dibs.model.lines import Demand
from dibs.model.marks import Mark
from dibs.store.ops.claim import job_claim, job_set_aside
from dibs.store.ops.dead import (
    Edit,
    dead_annotate,
    dead_get,
    dead_purge,
    dead_replay,
    dead_replay_edited,
    dead_review,
)
from dibs.store.ops.effects import effect_take, job_complete
from dibs.store.ops.enqueue import job_enqueue
from dibs.store.ops.jobs import job_cancel, job_reprioritize, job_reschedule
from dibs.store.ops.prune import history_drop, traces_drop
from dibs.store.ops.queues import queue_reset
from dibs.store.ops.settle import job_settle
from dibs.store.ops.workers import job_rescue
from dibs.store.runner import Call, Calls, Script
from dibs.store.statement import Operation
from tests.house.test_catalog import ONLY_SQLITE, SAMPLES
from tests.support.database import misplaced
from tests.support.world import BOOM, NOBODY, SERVING, World, tables

FAILED = AttemptOutcome.FAILED
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


def run(app: Dibs, face: str, operation: Operation[Any]) -> None:
    async def arun() -> None:
        try:
            await app.store.arun(operation)
        finally:
            await app.store.aclose()

    if face == "sync":
        app.store.run(operation)
    else:
        asyncio.run(arun())


# --- Cases -------------------------------------------------------------------------------------

Case = Callable[[World], Operation[Any]]

CASES: dict[str, Case] = {
    "job_enqueue": lambda _: job_enqueue(
        [NewJob("mail", "{}"), NewJob("mail", "{}", delay=10), NewJob("mail", "{}", priority=9)]
    ),
    "job_claim": lambda _: job_claim("w", SERVING, ["mail"], Demand(4)),
    "job_claim, admitting": lambda _: job_claim(
        "w", SERVING, ["mail", "strange"], Demand(9), admit=True
    ),
    "job_claim, blocking": lambda _: job_claim("w", SERVING, ["other"], Demand(9)),
    "job_set_aside": lambda _: job_set_aside(["other"], [Mark("default", 20, 0, 0)]),
    "job_settle": lambda w: job_settle(
        [
            Finish(w.held[0], State.COMPLETED, result="1"),
            Finish(w.held[1], State.CANCELLED, reason="no"),
            Requeue(w.held[2], "retry", 5_000_000, counted=True, record=FAILED, failure=BOOM),
            Requeue(w.held[3], "release", None, counted=False, record=None),
            Bury(w.held[4], DeadReason.ATTEMPTS_EXHAUSTED, BOOM),
        ]
    ),
    "job_settle, one": lambda w: job_settle([Finish(w.held[0], State.COMPLETED)]),
    "job_cancel": lambda w: job_cancel(w.ready[0], "sold out"),
    "job_cancel, scheduled": lambda w: job_cancel(w.due[0], "sold out"),
    "job_reprioritize": lambda w: job_reprioritize(w.ready[0], 7),
    "job_reschedule": lambda w: job_reschedule(w.ready[0], None, 60_000_000),
    "job_reschedule, scheduled": lambda w: job_reschedule(w.due[0], None, 0),
    "job_rescue": lambda _: job_rescue(3),
    "job_rescue, burying": lambda _: job_rescue(1),
    "job_complete": lambda w: job_complete(w.held[0], "1"),
    "effect_take": lambda w: effect_take(w.held[0], "charge"),
    "queue_reset": lambda _: queue_reset("mail"),
    "dead_get": lambda w: dead_get(w.dead[0]),
    "dead_annotate": lambda w: dead_annotate(w.dead[0], "seen", None),
    "dead_review": lambda w: dead_review(w.dead, None, reviewed=True, author=None, note="seen"),
    "dead_replay": lambda w: dead_replay(w.dead, None),
    "dead_replay_edited": lambda w: dead_replay_edited(w.dead[0], lambda _: Edit("{}", None, None)),
    "dead_purge": lambda w: dead_purge(w.dead, None),
    "history_drop": lambda w: history_drop([w.ended]),
    "traces_drop": lambda _: traces_drop([NOBODY]),
}
"""Operations for which the catalogue's samples would find nothing to do in this world."""
SAMPLED: dict[str, Operation[Any]] = {
    f"{sample.name}, sample {number}": sample
    for number, sample in enumerate(SAMPLES)
    if not sample.name.startswith("schema_")
}
CASED = {name.partition(",")[0] for name in CASES}
CASES |= {
    name: lambda _, sample=sample: sample
    for name, sample in SAMPLED.items()
    if not sample.reads and sample.name not in CASED
}
IDLE = {
    "queue_reset", "queue_resume", "kind_resume", "worker_leave", "effect_keep", "effect_undo",
    "job_count",
}  # fmt: skip
"""Writes that find nothing here: nobody configured or paused anything or left a mark, `w` never
left, and job 1 has not ended."""
DONE_BEFORE = (JobStateError, DuplicateJobError, ClaimLostError)
"""What an operation may say that was done already."""


# On SQLite the async face is the sync one in a thread.
FACES = [("sqlite", "sync"), ("postgres", "sync"), ("postgres", "async")]


@pytest.mark.parametrize(("engine", "face"), FACES)
@pytest.mark.parametrize("name", [name for name, case in CASES.items() if name != "dead_get"])
def test_an_operation_that_fails_has_done_all_or_nothing(
    database_url: str, engine: str, name: str, face: str, monkeypatch: pytest.MonkeyPatch
):
    world = World(database_url)
    operation = CASES[name](world)
    with closing(world.app):
        before = world.tables()
        failed = fail_everywhere(world, face, operation, Breaker(monkeypatch, operation.name))
        assert failed >= 2  # at least one statement, before and after
        with suppress(*DONE_BEFORE):
            run(world.app, face, operation)
        changed = world.tables() != before
        assert changed or operation.name in IDLE, "it changed nothing: this case shows nothing"
        assert misplaced(database_url) == []


def test_reads_change_nothing_wherever_they_fail(
    database_url: str, engine: str, monkeypatch: pytest.MonkeyPatch
):
    world = World(database_url)
    with closing(world.app):
        before = world.tables()
        own = [case(world) for case in CASES.values()]
        for sample in [*SAMPLED.values(), *own]:
            if sample.name in CASED and sample not in own:
                continue
            if sample.reads and (engine == "sqlite" or sample.name not in ONLY_SQLITE):
                breaker = Breaker(monkeypatch, sample.name)
                assert fail_everywhere(world, "sync", sample, breaker) >= 2
                assert world.tables() == before


def fail_everywhere(world: World, face: str, operation: Operation[Any], breaker: Breaker) -> int:
    """Fail before and after every statement, then succeed; return how often it failed.

    What is one statement without a transaction cannot be done by halves: when its answer is lost,
    it has succeeded.
    """
    before, failed = world.tables(), 0
    while True:
        breaker.after = failed % 2 == 1
        breaker.at = failed // 2 + 1
        try:
            run(world.app, face, operation)
        except (StoreError, BrokeError):
            failed += 1
        else:
            break
        if breaker.committed:
            break
        assert world.tables() == before, f"statement {breaker.at} left something behind"
    breaker.at = 0
    return failed


def test_a_migration_that_fails_at_any_statement_has_changed_nothing(
    database_url: str, engine: str, monkeypatch: pytest.MonkeyPatch
):
    app = Dibs(database_url)
    with closing(app):
        breaker = Breaker(monkeypatch, "schema_migrate")
        for at in count(1):
            breaker.at = at
            try:
                app.migrate()
            except (StoreError, BrokeError):
                assert tables(database_url) == []
            else:
                break
        assert at > 3
        assert app.stats().waiting == 0
