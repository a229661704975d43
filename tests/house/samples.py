"""Every operation, each way it can go, and rows that let it go on: no database is needed."""

from __future__ import annotations

from typing import Any

from dibs.model.dead import DeadFilter
from dibs.model.job import AttemptOutcome, DeadReason, NewJob, State
from dibs.model.lifecycle import Bury, Claim, Failed, Finish, Requeue
from dibs.model.limits import Limit, rule_to_json
from dibs.model.lines import Demand, Serving
from dibs.model.marks import Mark
from dibs.model.pauses import NewPause
from dibs.model.queues import STRICT
from dibs.model.schedule import ScheduleSpec, spec_to_json
from dibs.model.ticks import Missed, Overlap
from dibs.model.timing import Timing
from dibs.model.unique import Unique
from dibs.model.uses import use_of, uses_to_json
from dibs.store.migrate import schema_migrate, schema_version
from dibs.store.ops.claim import job_claim, job_set_aside
from dibs.store.ops.dead import (
    BEGIN,
    dead_annotate,
    dead_count,
    dead_find,
    dead_get,
    dead_latest,
    dead_list,
    dead_purge,
    dead_replay,
    dead_review,
)
from dibs.store.ops.dead_edited import Edit, dead_replay_edited
from dibs.store.ops.declarations import schedule_declare
from dibs.store.ops.doctor import doctor_look
from dibs.store.ops.effects import effect_keep, effect_take, effect_undo, job_complete
from dibs.store.ops.enqueue import job_enqueue
from dibs.store.ops.explain import job_standing
from dibs.store.ops.fair import fair_fill, fair_queues
from dibs.store.ops.front import line_fronts
from dibs.store.ops.jobs import (
    job_attempts,
    job_cancel,
    job_get,
    job_list,
    job_reprioritize,
    job_reschedule,
)
from dibs.store.ops.keys import job_enqueue_keyed, key_holder
from dibs.store.ops.limit_rules import (
    limit_configure,
    limit_declare,
    limit_get,
    limit_list,
    limit_reset,
)
from dibs.store.ops.limit_turns import limit_look, limit_tend, limit_wake
from dibs.store.ops.pauses import kind_get, kind_list, kind_pause, kind_resume, pause_list
from dibs.store.ops.prune import (
    Over,
    counters_sum,
    dead_crowd,
    history_drop,
    history_find,
    key_prune,
    prune_due,
    traces_drop,
    traces_find,
)
from dibs.store.ops.queues import (
    queue_configure,
    queue_declare,
    queue_get,
    queue_list,
    queue_pause,
    queue_reset,
    queue_resume,
)
from dibs.store.ops.rooms import room_free, room_take
from dibs.store.ops.schedules import (
    schedule_create,
    schedule_delete,
    schedule_get,
    schedule_list,
    schedule_pause,
    schedule_preview,
    schedule_reset,
    schedule_resume,
    schedule_update,
)
from dibs.store.ops.settle import job_count, job_settle, job_unmoved
from dibs.store.ops.stats import stats_count
from dibs.store.ops.ticks import (
    DueSchedule,
    schedule_due,
    schedule_fire,
    schedule_run,
    tick_list,
)
from dibs.store.ops.workers import (
    job_called_off,
    job_due,
    job_held,
    job_promote,
    job_rescue,
    watch_probe,
    worker_beat,
    worker_leave,
    worker_list,
)
from dibs.store.statement import Operation, Row

ENGINES = ("sqlite", "postgres")

CLAIM = Claim(1, 1, "w", 1, 5)
BOOM = Failed("ValueError", "boom", "traceback", retry_after=1, hold='limit:["stripe"]')
SERVING = Serving(("default",))
ALL = DeadFilter()
PAUSE = NewPause("the relay is down", "ann", None, 60_000_000)
FREE, HELD, OVER, REFUSED = (
    Unique(key=key, on_conflict=answer).job_key("mail", "default", "{}")
    for key, answer in (
        ("free", "return"), ("held", "replace"), ("over", "return"), ("held", "raise")
    )
)  # fmt: skip
LIMIT = Limit(concurrency=1, name="stripe")
USE = LIMIT.use("mail", {}, 1)
SHARED = Limit(name="shared", concurrency=2).use("mail", {}, 1)
TENANT = 'fair:["fair", "acme"]'
KEYS = [[FREE, HELD], [FREE, REFUSED], [HELD, OVER]]
HOURLY = ScheduleSpec(Timing(every=3600), NewJob("mail", "{}"), missed=Missed.all(2))
OVERLAPPING = [
    ScheduleSpec(Timing(every=3600), NewJob("mail", "{}"), overlap=overlap) for overlap in Overlap
]
SAMPLES: list[Operation[Any]] = [
    job_enqueue([NewJob("mail", "{}")]),
    *(job_enqueue_keyed([NewJob("mail", "{}", unique=key) for key in keys]) for keys in KEYS),
    job_enqueue_keyed([NewJob("mail", "{}", idempotency=HELD, unique=FREE)]),
    key_holder(1, "key"),
    job_claim("w", SERVING, ["mail"], Demand(10), admit=True),
    job_set_aside(["mail"], [Mark("default", 0, 0, 1)]),
    job_settle(
        [
            Finish(CLAIM, State.COMPLETED),
            Requeue(CLAIM, "retry", 1, counted=True, record=AttemptOutcome.FAILED, failure=BOOM),
            Bury(CLAIM, DeadReason.ATTEMPTS_EXHAUSTED, BOOM),
        ]
    ),
    job_unmoved([1]),
    job_count([1]),
    job_complete(CLAIM, None),
    effect_take(CLAIM, "charge"),
    effect_keep(1, "charge", "1"),
    effect_undo(1, "charge"),
    job_get(1),
    job_attempts(1),
    *(job_list(state, "mail", "default", 10) for state in (None, *State)),
    job_list(State.READY, None, None, 10),
    *(job_cancel(job_id, "sold out") for job_id in (1, 2)),
    job_called_off("w"),
    job_reprioritize(1, 20),
    job_reschedule(1, None, 10),
    dead_list(ALL, 10),
    dead_count(ALL),
    dead_get(1),
    dead_latest(),
    dead_find(ALL, BEGIN, 0),
    dead_annotate(1, "seen", None),
    dead_review([1], None, reviewed=True, author=None, note="seen"),
    dead_replay([1], None),
    *(dead_replay_edited(3, lambda *_, key=key: Edit("{}", "was", key)) for key in ("was", "key")),
    dead_purge([1], None),
    prune_due(),
    history_find(Over("default", State.COMPLETED, 0), 0),
    history_drop([1]),
    dead_crowd("default", 10),
    counters_sum(),
    key_prune(),
    traces_find(0),
    traces_drop([1]),
    line_fronts(SERVING),
    queue_declare({"mail": STRICT}),
    queue_configure("mail", STRICT),
    queue_reset("mail"),
    queue_get("mail"),
    queue_list(),
    queue_pause("mail", PAUSE),
    queue_resume("mail"),
    kind_pause("mail", PAUSE),
    kind_resume("mail"),
    kind_get("mail"),
    kind_list(),
    pause_list(),
    schedule_create("hourly", HOURLY),
    schedule_declare({"hourly": HOURLY}, ["mail"]),
    schedule_declare({"new": HOURLY}, ["mail"]),
    schedule_update("hourly", lambda spec: spec),
    schedule_reset("hourly"),
    schedule_pause("hourly", "why", "me"),
    schedule_resume("hourly"),
    schedule_delete("hourly"),
    schedule_get("hourly"),
    schedule_list(),
    schedule_preview("hourly", None, 1),
    schedule_due(10),
    *(
        schedule_fire(DueSchedule("hourly", 0, spec_to_json(spec)), spec, 0)
        for spec in [HOURLY, *OVERLAPPING]
    ),
    schedule_run("hourly"),
    tick_list("hourly", 10),
    limit_declare({"stripe": LIMIT.rule}),
    limit_configure("stripe", LIMIT.rule),
    limit_reset("stripe"),
    limit_get("stripe"),
    limit_list(),
    limit_look(),
    limit_wake(),
    fair_fill("fair", 10),
    *(room_take(CLAIM, use) for use in (USE, use_of("full", None, 1))),
    room_free(CLAIM, USE.key, 1),
    fair_queues(),
    limit_tend(),
    *(job_standing(job_id, 10) for job_id in (1, 4)),
    stats_count(),
    doctor_look(1),
    worker_beat("w", SERVING, ["mail"], 10, {10: 2}, 30_000_000),
    worker_leave("w"),
    worker_list(),
    job_due(),
    job_held("w"),
    job_promote(),
    job_rescue(3, 30_000_000),
    watch_probe(SERVING),
    schema_version(),
    *(schema_migrate(engine, "the database") for engine in ENGINES),
]
"""Every operation, each way it can go; a new one belongs here too."""

WAITING: Row = (
    1, "mail", "default", 0, "ready", "{}", 0, 5, 0, 0, 0, None, None, None, None, None, None,
    0, None, 0,
)  # fmt: skip
OTHERS: dict[int, Row] = {
    2: (2, *WAITING[1:4], "running", *WAITING[5:]),
    3: (3, *WAITING[1:4], "dead", *WAITING[5:]),
    4: (4, *WAITING[1:4], "blocked", *WAITING[5:]),
}
"""What is read of these jobs; all others wait."""
QUEUE: Row = ("mail", '{"retention": {"max_completed": 9}}', None, None, 0)
SCHEDULE: Row = (
    "hourly", spec_to_json(HOURLY), spec_to_json(OVERLAPPING[1]), spec_to_json(HOURLY), 0, None,
    None, None, None, 0, 0,
)  # fmt: skip
CANNED: dict[str, list[Row]] = {
    "jobs_load": [WAITING],
    "prune_over": [(0, 0)],
    "history_oldest": [("mail", "completed", 0), ("mail", "cancelled", None)],
    "history_find": [(1, 0)],
    "counters_sum": [(1,)],
    "dead_count": [(0,)],
    "dead_uses": [(None,)],
    "dead_get": [(1, "gave_up", 0, None, None)],
    "dead_latest": [(0, 0)],
    "dead_page": [(1, "gave_up", 0, None, None)],
    "job_admit": [(0,)],
    "job_cancel": [(1,)],
    "job_call_off": [(2,)],
    # The first has room under their limit, and the second has none.
    "job_claim": [
        (id_, "mail", "default", 0, "{}", 1, 1, 5, 0, 0, 0, 0, None, None, uses_to_json([USE]), 1)
        for id_ in (1, 2)
    ],
    "job_due": [(0,)],
    "job_enqueue": [(1, 0, 0, "ready")],
    "job_replace": [(1,)],
    "job_reprioritize": [(1,)],
    "job_reschedule": [(1,)],
    "claim_held": [(1,)],
    "claim_lock": [(1,)],
    "job_finish": [(1,)],
    "effect_get": [("1",)],
    "key_holders": [(HELD.text, 1, False), (OVER.text, 1, True)],
    "key_take": [(FREE.text,)],
    "job_stale": [(1, 1, "w", 1, 5, 0)],
    "pause_list": [("queue", "mail", 0, None, "ann", "the relay is down")],
    "queue_get": [QUEUE],
    "queue_list": [QUEUE],
    "schedule_add": [("hourly",)],
    "schedule_get": [SCHEDULE],
    "schedule_list": [SCHEDULE],
    "schedule_lock": [SCHEDULE],
    "schedule_next": [(0, 0)],
    "schedule_take": [("hourly",)],
    "queue_lines": [("default", 0, "[[0,1],[0,2]]", None, 0, None)],
    "blocked_key": [(USE.key,), (TENANT,)],
    "fair_standing": [(0, 1)],
    "limit_get": [("stripe", None, None, None, 0)],
    "limit_keys": [(USE.key,)],
    "limit_list": [("stripe", None, None, None, 0)],
    "limit_declare": [("stripe",)],
    "limit_look": [(1, None)],
    "arrivals_take": [(USE.key, 2), (TENANT, 1)],
    "fair_stock": [(0, None)],
    "fair_tenants": [(TENANT, 0, 1)],
    "limit_state": [
        (USE.key, rule_to_json(LIMIT.rule), 0, 0, 0, 2, 0, None, None, None, 0),
        (SHARED.key, rule_to_json(LIMIT.rule), 0, 0, 0, 2, 0, None, 0, '[["mail", 0]]', 0),
        ('limit:["full"]', rule_to_json(LIMIT.rule), 1, 0, 0, 0, None, None, None, None, 0),
        ("queue:default", None, 0, 0, 0, 0, None, None, None, None, 0),
    ],
    "limit_due": [(USE.key,), (SHARED.key,)],
    "limit_lines": [(SHARED.key, "mail", 0, None)],
    "slot_free": [(USE.key, None)],
    "slot_take": [(1,)],
    "slots_lock": [(USE.key, None), (SHARED.key, '[["mail", 0]]')],
    "schema_exists": [(1,)],
    "schema_version": [(None,)],
    "stats_begin": [(0,)],
    "stats_clock": [(0,)],
    "tick_jobs": [(1,)],
    "tick_list": [(0, 0, "enqueued", 1, 0, None, 0)],
    "tick_manual": [(None,)],
    "watch_probe": [(1, None)],
}
"""Rows that let an operation go on to its next statement."""
