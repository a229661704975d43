"""Databases in which many jobs wait under limits, and the statements that must not read them."""

from __future__ import annotations

from collections.abc import Callable

from dibs.model.job import NewJob
from dibs.model.limits import Limit
from dibs.model.lines import Demand, Serving
from dibs.model.queues import QueuePolicy
from dibs.store import Store
from dibs.store.ops.claim import job_claim
from dibs.store.ops.enqueue import job_enqueue
from dibs.store.ops.limit_rules import limit_declare
from dibs.store.ops.limit_turns import limit_wake
from dibs.store.ops.limits import SAVED
from dibs.store.ops.queues import queue_configure
from dibs.store.statement import Operation, Row, Rows, Statement, Steps

COUNT = 100
"""Jobs and keys per statement."""
EACH = 500
"""Keys of the limit that counts by key."""
FULL, PER_KEY = Limit(name="full", concurrency=1), Limit(name="each", concurrency=3, key="{n}")
OPEN = Limit(name="open", concurrency=1000)
NUMBERS = "WITH RECURSIVE n (i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < {count})"
FILL = (
    "INSERT INTO dibs_jobs (kind, queue, priority, args, max_attempts, scheduled_at, created_at, "
    "limits, turn) " + NUMBERS + " SELECT 'full', 'mail', i % 4, '{{}}', 5, i, 0, "
    """'[["limit:[\\"full\\"]", "full", 1]]', 'limit:["full"]' FROM n""",
    "INSERT INTO dibs_jobs (kind, queue, priority, args, max_attempts, scheduled_at, created_at, "
    "limits, turn) " + NUMBERS + " SELECT 'each', 'mail', i % 4, '{{}}', 5, i, 0, "
    """'[["limit:[\\"each\\", \\"' || (i % {each}) || '\\"]", "each", 1]]', """
    """'limit:["each", "' || (i % {each}) || '"]' FROM n""",
    "INSERT INTO dibs_blocked (key, queue, priority, scheduled_at, job_id) "
    "SELECT turn, queue, priority, scheduled_at, id FROM dibs_jobs "
    "WHERE kind IN ('full', 'each')",
    "INSERT INTO dibs_limit_keys (key, name, wake_at) "
    "SELECT turn, MIN(kind), 4000000000000000 + MIN(id) FROM dibs_jobs "
    "WHERE kind IN ('full', 'each') GROUP BY turn ON CONFLICT (key) DO NOTHING",
    "INSERT INTO dibs_limit_keys (key, name, full_at, wake_at) " + NUMBERS + " SELECT "
    "'limit:[\"other\", \"' || i || '\"]', 'other', i, 4000000000000000 + i FROM n",
)  # fmt: skip


def fill(execute: Callable[[str], object], count: int) -> None:
    """Let `count` jobs wait under one key, as many under many keys, and as many keys for a time."""
    for sql in FILL:
        execute(sql.format(count=count, each=EACH))


def prepare(store: Store) -> dict[str, Statement]:
    """Let some jobs run, some be about to, and return what is measured."""
    store.run(limit_declare({limit.name or "": limit.rule for limit in (FULL, PER_KEY, OPEN)}))
    store.run(queue_configure("narrow", QueuePolicy(concurrency=400)))
    _admit(store, "running")
    running = store.run(job_claim("w", Serving(("open",)), ["running"], Demand(COUNT))).jobs
    taken = _admit(store, "taken")
    store.run(job_enqueue([NewJob("free", "{}", "narrow")] * COUNT))
    few = [f'limit:["each", "{n}"]' for n in range(COUNT)]
    wide = [('limit:["full"]', COUNT), *((key, 1) for key in few)]
    counts = Rows(("key", "count"), wide)
    ids, keys = [job.id for job in running], ['limit:["full"]', *few]
    late = [PER_KEY.use("late", {"n": n}, 1) for n in range(COUNT)]
    store.run(job_enqueue([NewJob("late", "{}", "mail", limits=(use,)) for use in late]))
    state = {"keys": keys, "most": 1}
    open_key = 'limit:["open"]'
    claim = job_claim("w", Serving(("narrow",)), ["free"], Demand(COUNT))
    return {
        "limit_lock": Statement(
            "limit_lock", {"rows": Rows(("key", "name"), [(key, "each") for key in keys])}
        ),
        "limit_state": Statement("limit_state", state),
        "limit_start": Statement(
            "limit_start",
            {
                "worker": "w", "at": 1, "ids": taken,
                "slots": Rows(("key", "job_id"), [(open_key, job_id) for job_id in taken]),
            },
        ),
        "limit_block": Statement(
            "limit_block",
            {"rows": Rows(("job_id", "key"), [(job_id, open_key) for job_id in taken])},
        ),
        "limit_save": Statement(
            "limit_save",
            {"rows": Rows(SAVED, [(key, 0, 0, 1, 1, 1, '[["mail", 0]]') for key in sorted(keys)])},
        ),
        "limit_admit": Statement("limit_admit", {"rows": counts}),
        "limit_lines": Statement("limit_lines", {"keys": sorted(keys)}),
        "limit_admit_line": Statement(
            "limit_admit_line",
            {
                "rows": Rows(
                    ("key", "queue", "priority", "count"),
                    [(key, "mail", 3, count) for key, count in wide],
                )
            },
        ),
        "limit_due": Statement("limit_due", {"count": COUNT}),
        "limit_look": Statement("limit_look", {}),
        "slots_lock": Statement("slots_lock", {"ids": ids}),
        "slots_free": Statement("slots_free", {"ids": ids, "untaken": []}),
        "slots_leave": Statement("slots_leave", {"ids": ids[:1]}),
        "arrivals_take": Statement("arrivals_take", {"count": COUNT}),
        "queue_lines, room": next(claim.steps()),
        "job_claim, counted": _second(store, claim),
    }  # fmt: skip


def _admit(store: Store, kind: str) -> list[int]:
    """Enqueue jobs that have room, and make them ready; return their ids."""
    needs = [(OPEN.use(kind, {}, 1), PER_KEY.use(kind, {"n": n}, 1)) for n in range(COUNT)]
    stored = store.run(job_enqueue([NewJob(kind, "{}", "open", limits=uses) for uses in needs]))
    store.run(limit_wake())
    return [job.id for job in stored]


def _second(store: Store, operation: Operation[object]) -> Statement:
    steps = operation.steps()
    look = next(steps)

    def rows_of() -> Steps[list[Row]]:
        return (yield look)

    return steps.send(store.run(Operation("look", rows_of)))
