"""Scenario 7: every operation fails at each of its statements: all of it happened, or nothing."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import closing, suppress
from itertools import count
from typing import Any

import pytest

from dibs import (
    ClaimLostError,
    Dibs,
    DuplicateJobError,
    JobStateError,
    ScheduleExistsError,
    ScheduleNotFoundError,
    State,
    StoreError,
)
from dibs.model.job import AttemptOutcome, DeadReason, NewJob
from dibs.model.lifecycle import Bury, Finish, Requeue
from dibs.model.lines import Demand
from dibs.model.marks import Mark
from dibs.model.schedule import spec_from_json
from dibs.store.ops.claim import job_claim, job_set_aside
from dibs.store.ops.dead import dead_annotate, dead_get, dead_purge, dead_replay, dead_review
from dibs.store.ops.dead_edited import Edit, dead_replay_edited
from dibs.store.ops.declarations import schedule_declare
from dibs.store.ops.effects import effect_take, job_complete
from dibs.store.ops.enqueue import job_enqueue
from dibs.store.ops.jobs import job_cancel, job_reprioritize, job_reschedule
from dibs.store.ops.prune import history_drop, traces_drop
from dibs.store.ops.queues import queue_reset
from dibs.store.ops.schedules import (
    schedule_create,
    schedule_reset,
    schedule_resume,
    schedule_update,
)
from dibs.store.ops.settle import job_settle
from dibs.store.ops.ticks import schedule_due, schedule_fire
from dibs.store.ops.workers import job_rescue
from dibs.store.statement import Operation
from tests.house.test_catalog import ONLY_SQLITE, SAMPLES
from tests.support.breaking import Breaker, BrokeError, fail_everywhere, running
from tests.support.database import misplaced, reading, tables
from tests.support.world import BOOM, BUSY, LEASE, NOBODY, SERVING, SPEC, World

FAILED = AttemptOutcome.FAILED
# --- Cases -------------------------------------------------------------------------------------

Case = Callable[[World], Operation[Any]]


def fire(world: World, name: str) -> Operation[Any]:
    """Return the firing of a schedule, as a worker makes it."""
    look = world.app.store.run(schedule_due(10))
    [due] = [due for due in look.due if due.name == name]
    spec = spec_from_json(due.spec)
    assert spec is not None
    return schedule_fire(due, spec, look.now)


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
    "job_rescue": lambda _: job_rescue(3, LEASE),
    "job_rescue, burying": lambda _: job_rescue(1, LEASE),
    "job_complete": lambda w: job_complete(w.held[0], "1"),
    "effect_take": lambda w: effect_take(w.held[0], "charge"),
    "queue_reset": lambda _: queue_reset("mail"),
    "dead_get": lambda w: dead_get(w.dead[0]),
    "dead_annotate": lambda w: dead_annotate(w.dead[0], "seen", None),
    "dead_review": lambda w: dead_review(w.dead, None, reviewed=True, author=None, note="seen"),
    "dead_replay": lambda w: dead_replay(w.dead, None),
    "dead_replay_edited": lambda w: dead_replay_edited(
        w.dead[0], lambda *_: Edit("{}", None, None)
    ),
    "dead_purge": lambda w: dead_purge(w.dead, None),
    "history_drop": lambda w: history_drop([w.ended]),
    "schedule_create": lambda _: schedule_create("new", SPEC),
    "schedule_declare": lambda _: schedule_declare({"new": SPEC, "hourly": BUSY}, ["mail"]),
    "schedule_update": lambda _: schedule_update("hourly", lambda _: BUSY),
    "schedule_reset": lambda _: schedule_reset("edited"),
    "schedule_resume": lambda _: schedule_resume("paused"),
    "schedule_fire": lambda w: fire(w, "hourly"),
    "schedule_fire, cancelling": lambda w: fire(w, "busy"),
    "traces_drop": lambda _: traces_drop([NOBODY]),
}
"""Operations for which the catalogue's samples would find nothing to do in this world."""
SAMPLED: dict[str, Operation[Any]] = {
    f"{sample.name}, sample {number}": sample
    for number, sample in enumerate(SAMPLES)
    if not sample.name.startswith("schema_")
}
CASED = {name.partition(",")[0] for name in CASES}
LIMITED = {"limit_reset", "limit_wake", "limit_tend", "room_take"}
"""Writes for which nobody waits under a limit here: test_limit_leftovers fails them."""
CASES |= {
    name: lambda _, sample=sample: sample
    for name, sample in SAMPLED.items()
    if not sample.reads and sample.name not in CASED | LIMITED
}
IDLE = {
    "queue_reset", "queue_resume", "kind_resume", "worker_leave", "effect_keep", "effect_undo",
    "job_count",
}  # fmt: skip
"""Writes that find nothing here: nobody configured or paused anything or left a mark, `w` never
left, and job 1 has not ended."""
DONE_BEFORE = (
    JobStateError, DuplicateJobError, ClaimLostError, ScheduleExistsError, ScheduleNotFoundError
)  # fmt: skip
"""What an operation may say that was done already."""


# On SQLite the async face is the sync one in a thread.
FACES = [("sqlite", "sync"), ("postgres", "sync"), ("postgres", "async")]


@pytest.mark.parametrize(("engine", "face"), FACES)
@pytest.mark.parametrize("name", [name for name, case in CASES.items() if name != "dead_get"])
def test_an_operation_that_fails_has_done_all_or_nothing(
    tables_url: str, engine: str, name: str, face: str, monkeypatch: pytest.MonkeyPatch
):
    world = World(tables_url)
    operation = CASES[name](world)
    with running(world.app, face) as run, reading(tables_url) as rows:
        before = rows()
        failed = fail_everywhere(rows, run, operation, Breaker(monkeypatch, operation.name))
        assert failed >= 2  # at least one statement, before and after
        with suppress(*DONE_BEFORE):
            run(operation)
        changed = rows() != before
        assert changed or operation.name in IDLE, "it changed nothing: this case shows nothing"
        assert misplaced(tables_url) == []


def test_reads_change_nothing_wherever_they_fail(
    tables_url: str, engine: str, monkeypatch: pytest.MonkeyPatch
):
    world = World(tables_url)
    with running(world.app, "sync") as run, reading(tables_url) as rows:
        before = rows()
        own = [case(world) for case in CASES.values()]
        for sample in [*SAMPLED.values(), *own]:
            if sample.name in CASED and sample not in own:
                continue
            if sample.reads and (engine == "sqlite" or sample.name not in ONLY_SQLITE):
                breaker = Breaker(monkeypatch, sample.name)
                assert fail_everywhere(rows, run, sample, breaker) >= 2
                assert rows() == before


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
