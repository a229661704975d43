"""Databases with a small and with a large backlog, and the statements whose cost must not tell."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal

import psycopg

from dibs.model.aging import Aging
from dibs.model.job import AttemptOutcome, DeadReason, NewJob, State
from dibs.model.lifecycle import Bury, Claim, Failed, Finish, Requeue
from dibs.model.lines import Demand, Serving
from dibs.model.marks import Mark
from dibs.model.queues import QueuePolicy, policy_to_json
from dibs.model.retention import Retention
from dibs.model.standing import Spot
from dibs.model.unique import Unique
from dibs.store import Store
from dibs.store.ops.claim import job_claim
from dibs.store.ops.enqueue import COLUMNS, job_enqueue, row_of
from dibs.store.ops.front import line_fronts
from dibs.store.ops.jobs import job_attempts
from dibs.store.ops.keys import job_enqueue_keyed
from dibs.store.ops.settle import job_settle
from dibs.store.ops.ticks import schedule_due
from dibs.store.ops.workers import (
    job_called_off,
    job_due,
    job_held,
    job_promote,
    job_rescue,
    watch_probe,
    worker_beat,
)
from dibs.store.statement import Operation, Rows, Statement
from tests.plans.ended import (
    BEHIND,
    COUNT,
    FAR,
    LATELY,
    dead_letters,
    first,
    pruning,
    rows_of,
)

RUNNING = 400
"""Jobs that run meanwhile."""
PROMOTED = 1000
"""Jobs per promotion: the operation's own batch."""
LEVELS = 20
"""Lines of the queue with aging, all of which a claim has to look at."""
LINES = {
    "queue_lines": (2, 2 * COUNT),
    "queue_lines, aging": (LEVELS, LEVELS * COUNT),
    "queue_lines, range": (4, 4 * COUNT),
    "queue_lines, fronts": (1 + 4 + LEVELS, 1 + 4 + LEVELS),
}
"""How many lines have to be found, and how many heads have to be read."""


@dataclass(frozen=True)
class Sizes:
    """How many jobs stand where."""

    scheduled: int
    finished: int
    due: int
    ready: int
    aging: int
    blocked: int
    dead: int
    schedules: int
    """Schedules that are not due, beside `COUNT` that are; each has as many ticks."""


SMALL = Sizes(
    scheduled=1000,
    finished=1000,
    due=1000,
    ready=1000,
    aging=2200,
    blocked=1000,
    dead=1000,
    schedules=1000,
)
LARGE = Sizes(
    scheduled=250_000, finished=250_000, due=50_000, ready=100_000, aging=50_000,
    blocked=50_000, dead=50_000, schedules=20_000,
)  # fmt: skip

NUMBERS = "WITH RECURSIVE n (i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < {count})"
JOBS = (
    "INSERT INTO dibs_jobs (kind, queue, priority, args, max_attempts, scheduled_at, created_at) "
    + NUMBERS
    + " SELECT '{kind}', '{queue}', {priority}, '{{}}', 5, {at} + i, 0 FROM n"
)
FINISHED = (
    "INSERT INTO dibs_history (id, kind, queue, priority, state, args, max_attempts, attempt, "
    "crashes, scheduled_at, created_at, started_at, finished_at, worker) "
    + NUMBERS
    + " SELECT 10000000 + i, 'send', 'mail', 0, 'completed', '{{}}', 5, 1, 0, 0, 0, 0, i, 'w' "
    "FROM n"
)
COUNTED = (
    "INSERT INTO dibs_counters (minute, worker, queue, kind, priority, outcome, count, wait, run) "
    + NUMBERS
    + " SELECT i, 'w', 'mail', 'send', 0, 'completed', 1, 0, 0 FROM n"
)
PLACES = (
    "INSERT INTO dibs_scheduled (due, job_id) "
    "SELECT scheduled_at, id FROM dibs_jobs WHERE kind IN ('later', 'due')",
    "INSERT INTO dibs_ready (job_id, queue, priority, scheduled_at) "
    "SELECT id, queue, priority, scheduled_at FROM dibs_jobs WHERE kind IN ('crop', 'old')",
    "INSERT INTO dibs_blocked (key, queue, priority, scheduled_at, job_id) "
    "SELECT 'kind:' || kind, queue, priority, scheduled_at, id FROM dibs_jobs WHERE kind = 'alien'",
    "INSERT INTO dibs_dead (job_id, reason, died_at) "
    "SELECT id, 'worker_died', 0 FROM dibs_jobs WHERE kind = 'dead'",
    "INSERT INTO dibs_notes (job_id, written_at, note) SELECT job_id, 0, 'seen' FROM dibs_dead",
    "INSERT INTO dibs_effects (job_id, name, done_at) SELECT job_id, 'charge', 0 FROM dibs_dead",
    "INSERT INTO dibs_attempts (job_id, claim, attempt, worker, started_at, finished_at, outcome) "
    "SELECT job_id, 1, 1, 'w', 0, 0, 'failed' FROM dibs_dead",
    "INSERT INTO dibs_keys (key, job_id, during, expires_at) "
    "SELECT kind || ' ' || scheduled_at, id, 'period', "
    "CASE WHEN kind = 'due' THEN 1 ELSE scheduled_at END "
    "FROM dibs_jobs WHERE kind IN ('later', 'due')",
    "INSERT INTO dibs_queues (name, declared, updated_at) "
    f"VALUES ('aged', '{policy_to_json(QueuePolicy(aging=Aging(after=600, every=60)))}', 0)",
    # Whatever else its policy says, the order is strict, and so its lines are read.
    "INSERT INTO dibs_queues (name, declared, updated_at) "
    f"VALUES ('web', '{policy_to_json(QueuePolicy(timeout=60, retention=Retention(dead=60)))}', 0)",
)
SCHEDULES = (
    "INSERT INTO dibs_schedules (name, configured, next_at, created_at, updated_at) "
    + NUMBERS
    + " SELECT 'schedule ' || i, '{{}}', CASE WHEN i <= {due} THEN i ELSE {far} + i END, 0, 0 "
    "FROM n"
)
TICKS = (
    "INSERT INTO dibs_ticks (schedule, tick, manual, outcome, job_id, passed, fired_at) "
    + NUMBERS
    + " SELECT 'schedule ' || (i / {each}), i, 0, 'enqueued', i, 0, i FROM n"
)


def empty(admin: psycopg.Connection[tuple[str, ...]]) -> None:
    """Empty all tables of a PostgreSQL database, as of a queue that has been idle for a while."""
    tables = "SELECT relname FROM pg_class WHERE relkind = 'r' AND relname LIKE 'dibs_%'"
    for [name] in admin.execute(tables).fetchall():
        # Autovacuum would analyze them some time, and so have them planned for again.
        admin.execute(f"ALTER TABLE {name} SET (autovacuum_enabled = off)")  # type: ignore[arg-type]
        if name != "dibs_migrations":
            admin.execute(f"TRUNCATE {name}")  # type: ignore[arg-type]
    admin.execute("VACUUM ANALYZE")


def fill(execute: Callable[[str], object], sizes: Sizes) -> None:
    """Put a backlog into empty tables, past the store: it takes seconds."""
    for kind, queue, priority, at, count in (
        ("later", "mail", 32767, FAR, sizes.scheduled),
        ("due", "other", 0, 0, sizes.due),
        ("crop", "web", "i % 4", 0, sizes.ready),
        ("old", "aged", f"i % {LEVELS}", 0, sizes.aging),
        ("alien", "mail", "i % 4", 0, sizes.blocked),
        ("dead", "mail", 0, 0, sizes.dead),
    ):
        execute(JOBS.format(kind=kind, queue=queue, priority=priority, at=at, count=count))
    execute(FINISHED.format(count=sizes.finished))
    execute(COUNTED.format(count=sizes.blocked))
    execute(SCHEDULES.format(count=COUNT + sizes.schedules, due=COUNT, far=FAR))
    execute(TICKS.format(count=10 * sizes.schedules, each=COUNT))
    for place in PLACES:
        execute(place)


def statements(store: Store) -> dict[str, Statement]:
    """Return what is measured, each ready to touch about `COUNT` rows."""
    store.run(worker_beat("w", Serving(("mail",)), ["send"], 1, {}, FAR))
    store.run(job_enqueue_keyed(keyed(400, 9, 0, "active")))
    claims = claim(store, "w", 300)
    claim(store, "gone", COUNT)
    store.run(job_enqueue([NewJob("crop", "{}", "web", 1)] * COUNT))
    # One line that was taken whole, and one in which there is more behind the mark.
    marks = [Mark("mail", 9, FAR, 1), Mark("web", 3, BEHIND, 1)]
    ready, later = (
        store.run(job_enqueue_keyed(keyed(300, 5, delay, "waiting"))) for delay in (0, FAR)
    )
    [blocked] = store.run(job_enqueue([NewJob("alien", "{}", "rare")]))
    store.run(job_claim("w", Serving(("rare",)), ["send"], Demand(1)))
    boom = Failed("ValueError", "boom", "")
    waiting = {"ready": ready[200].id, "scheduled": later[200].id, "blocked": blocked.id}
    stale = _second(job_rescue(3, FAR))
    over = [f"due {n}" for n in range(1, COUNT + 1)]
    table = [
        (job.id, *row_of(NewJob("send", "{}", "web", 2))) for job in (*ready[:50], *later[:50])
    ]
    serving, both = Serving(("mail", "web", "empty")), ["send", "crop"]
    web, aged = Serving(("web",)), Serving(("aged",))
    middle = Serving(("aged",), lowest=5, highest=8)
    shared = Serving(("mail", "web"), weights={"mail": 1, "web": 1})
    return {
        "job_enqueue": first(job_enqueue([NewJob("send", "{}", "web", 2)] * COUNT)),
        "queue_lines": first(job_claim("w", serving, both, Demand(COUNT))),
        "queue_lines, aging": first(job_claim("w", aged, both, Demand(COUNT))),
        "queue_lines, marks": first(job_claim("w", serving, both, Demand(COUNT), marks=marks)),
        "queue_lines, range": first(job_claim("w", middle, both, Demand(COUNT))),
        "queue_lines, fronts": first(line_fronts(Serving(("mail", "web", "aged")))),
        "job_claim": taking(store, job_claim("w", serving, both, Demand(COUNT))),
        "job_claim, lines": taking(store, job_claim("w", shared, both, Demand(COUNT))),
        "job_claim, other kinds": taking(store, job_claim("w", web, ["send"], Demand(COUNT))),
        "job_set_aside": Statement(
            "job_set_aside",
            {"kinds": ["send"], "lines": Rows(Mark._fields, [("web", 3, 0, 0)]), "count": COUNT},
        ),
        "job_admit": first(job_claim("w", serving, ["alien", "none"], Demand(COUNT), admit=True)),
        "job_finish": first(job_settle([Finish(c, State.COMPLETED) for c in claims[:COUNT]])),
        "job_requeue": first(
            job_settle(
                [
                    Requeue(c, "retry", 9, counted=True, record=AttemptOutcome.FAILED, failure=boom)
                    for c in claims[100:200]
                ]
            )
        ),
        "job_bury": first(
            job_settle([Bury(c, DeadReason.ATTEMPTS_EXHAUSTED, boom) for c in claims[200:]])
        ),
        "key_take": Statement("key_take", {"keys": [f"new {n}" for n in range(COUNT)]}),
        "key_holders": Statement("key_holders", {"keys": over}),
        "key_expire": Statement("key_expire", {"keys": over}),
        "key_release": Statement("key_release", {"keys": over}),
        "key_assign": Statement(
            "key_assign",
            {
                "rows": Rows(
                    ("key", "job_id", "during", "period"),
                    [(key, job.id, "active", None) for key, job in zip(over, ready, strict=False)],
                )
            },
        ),
        "job_replace": Statement("job_replace", {"jobs": Rows(("job_id", *COLUMNS), table)}),
        "job_promote": first(job_promote()),
        "job_due": first(job_due()),
        "job_stale": stale,
        "job_held": first(job_held("w")),
        "job_called_off": first(job_called_off("w")),
        "job_attempts": first(job_attempts(1)),
        **{
            f"job_reprioritize, {place}": Statement("job_reprioritize", {"id": id_, "priority": 7})
            for place, id_ in waiting.items()
        },
        **{
            f"job_reschedule, {place}": Statement(
                "job_reschedule", {"id": id_, "scheduled_at": None, "delay": delay}
            )
            for (place, id_), delay in zip(waiting.items(), (FAR, 0, 0), strict=True)
        },
        "jobs_load": Statement("jobs_load", {"ids": [job.id for job in ready[:COUNT]]}),
        "job_cancel, ready": Statement("job_cancel", {"id": ready[200].id, "reason": None}),
        "job_cancel, scheduled": Statement("job_cancel", {"id": later[200].id, "reason": None}),
        "job_cancel, blocked": Statement("job_cancel", {"id": blocked.id, "reason": None}),
        **dead_letters(store),
        **pruning(store),
        **schedules(),
        "job_call_off": Statement("job_call_off", {"id": claims[0].job_id, "reason": "late"}),
        "jobs_ahead": Statement(
            "jobs_ahead",
            {"queue": "web", "bounds": Rows(Spot._fields, [(2, FAR, 0), (1, 9, 0)]), "most": COUNT},
        ),
        "queue_moved": Statement("queue_moved", {"queue": "mail", "since": LATELY}),
        "workers_busy": Statement("workers_busy", {}),
        "watch_probe": first(watch_probe(Serving(("mail", "web")))),
        "watch_probe, nothing": first(watch_probe(Serving(("empty",)))),
    }


def schedules() -> dict[str, Statement]:
    """Return the statements of a firing; of those that are due, the first has ticks."""
    moved = {"next_at": FAR, "last_at": 1, "due": 1, "spec": "{}"}
    return {
        "schedule_next": first(schedule_due(COUNT)),
        "schedule_due": Statement("schedule_due", {"count": COUNT, "until": COUNT}),
        "schedule_take": Statement("schedule_take", {"name": "schedule 1", **moved}),
        "tick_jobs": Statement("tick_jobs", {"name": "schedule 1"}),
        "tick_manual": Statement("tick_manual", {"name": "schedule 1"}),
        "tick_prune": Statement("tick_prune", {"name": "schedule 1", "kept": COUNT // 2}),
    }


def keyed(
    count: int, priority: int, delay: int, during: Literal["waiting", "active"]
) -> list[NewJob]:
    """Return jobs with keys that their claim or their end frees."""
    return [
        NewJob(
            "send", "{}", "mail", priority, delay=delay,
            unique=unique.job_key("send", "mail", "{}"),
        )
        for n in range(count)
        for unique in [Unique(key=f"{priority} {delay} {n}", during=during)]
    ]  # fmt: skip


def claim(store: Store, worker: str, count: int) -> list[Claim]:
    found = store.run(job_claim(worker, Serving(("mail",)), ["send"], Demand(count)))
    return [job.ticket for job in found.jobs]


def taking(store: Store, claim: Operation[object]) -> Statement:
    """Return the statement that follows on what is at the front now."""
    steps = claim.steps()
    look = next(steps)
    return steps.send(rows_of(store, look))


def _second(operation: Operation[object]) -> Statement:
    steps = operation.steps()
    next(steps)
    return steps.send([])
