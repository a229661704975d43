"""Rates: in any time no more jobs start than the burst and what the rate gives in it, exactly."""

from __future__ import annotations

import time
from collections.abc import Callable
from itertools import pairwise

from dibs import Backoff, Dibs, JobContext, Limit, Retry
from tests.support.crowd import work_off
from tests.support.database import query

SECOND = 1_000_000
NewApp = Callable[..., Dibs]
STARTS = """
SELECT started_at, kind, CAST(args AS text) FROM dibs_history
UNION ALL
SELECT a.started_at, h.kind, CAST(h.args AS text)
FROM dibs_attempts AS a JOIN dibs_history AS h ON h.id = a.job_id
"""


def started(url: str, cost: Callable[[str], int] = lambda _: 1) -> list[tuple[int, int]]:
    """Return when each attempt started, by the database's word, and what it cost."""
    return sorted((at, cost(kind)) for at, kind, _ in query(url, STARTS))


def check(starts: list[tuple[int, int]], rate: int, per: int, burst: int) -> None:
    """Check every window that begins and ends with a start, for those are the fullest."""
    for first, (begin, _) in enumerate(starts):
        total = 0
        for end, cost in starts[first:]:
            total += cost
            # total <= burst + rate * window, without a rounded quotient
            assert (total - burst) * per <= rate * (end - begin), (begin, end, total)


def test_a_rate_holds_in_every_window_for_several_workers_and_with_retries(
    new_app: NewApp, database_url: str
):
    app = new_app()
    limits = [Limit(name="provider", rate=300, burst=10)]

    @app.job(limits=limits, retry=Retry(3, Backoff.exponential(base=0)))
    async def hook(ctx: JobContext, number: int) -> None:
        if number % 5 == 0 and ctx.attempt == 1:
            raise ValueError("the first attempt of every fifth")

    @app.job(limits=limits, cost=4)
    async def upload(number: int) -> None: ...

    app.enqueue_many(hook.request(number) for number in range(60))
    app.enqueue_many(upload.request(number) for number in range(10))
    work_off(app, database_url)
    starts = started(database_url, lambda kind: 4 if kind == "upload" else 1)
    assert len(starts) == 60 + 12 + 10
    check(starts, 300, SECOND, 10)
    span = starts[-1][0] - starts[0][0]
    assert span >= (sum(cost for _, cost in starts) - 10) * SECOND // 300


def test_a_rate_of_each_key_and_a_concurrency_hold_together(new_app: NewApp, database_url: str):
    app = new_app()
    together, most = 0, 0

    @app.job(limits=[Limit(rate=50, burst=2, key="{customer}"), Limit(concurrency=3)])
    async def sync(ctx: JobContext, customer: int) -> None:
        nonlocal together, most
        together += 1
        most = max(most, together)
        together -= 1

    app.enqueue_many(sync.request(number % 4) for number in range(60))
    work_off(app, database_url)
    rows = query(database_url, STARTS)
    assert len(rows) == 60
    for customer in range(4):
        mine = sorted((at, 1) for at, _, args in rows if f'"customer":{customer}' in args)
        assert len(mine) == 15
        check(mine, 50, SECOND, 2)
    assert most <= 3


def test_a_rule_that_changes_holds_for_all_that_starts_later(new_app: NewApp, database_url: str):
    app = new_app()

    @app.job(limits=[Limit(name="provider", rate=400, burst=40)])
    async def hook(number: int) -> None: ...

    app.enqueue_many(hook.request(number) for number in range(400))
    changed: list[int] = []

    def slow_down() -> None:
        if not changed and len(query(database_url, "SELECT 1 FROM dibs_history")) > 50:
            app.limits.configure("provider", rate=100, burst=5)
            changed.append(time.time_ns() // 1000)

    work_off(app, database_url, meanwhile=slow_down)
    starts = started(database_url)
    assert len(starts) == 400
    check(starts, 400, SECOND, 40)
    later = [start for start in starts if start[0] > changed[0]]
    assert len(later) > 20
    check(later, 100, SECOND, 5)


def test_a_cost_above_a_lowered_burst_waits_for_all_of_it(new_app: NewApp, database_url: str):
    app = new_app()

    @app.job(limits=[Limit(name="provider", rate=100, burst=10)], cost=8)
    async def upload(number: int) -> None: ...

    app.enqueue_many(upload.request(number) for number in range(6))
    app.limits.configure("provider", rate=100, burst=4)
    work_off(app, database_url)
    starts = [at for at, _ in started(database_url)]
    assert len(starts) == 6
    gaps = [later - earlier for earlier, later in pairwise(starts)]
    assert min(gaps) >= 8 * SECOND // 100, "each has to pay what it costs"


def test_who_needs_more_is_not_passed_for_ever(new_app: NewApp, database_url: str):
    app = new_app()
    limits = [Limit(name="provider", rate=100, burst=7)]

    @app.job(limits=limits)
    async def small(number: int) -> None: ...

    @app.job(limits=limits, cost=7)
    async def large() -> None: ...

    app.enqueue_many(small.request(number) for number in range(10))
    [large_id] = app.enqueue_many([large.request()])
    app.enqueue_many(small.request(number) for number in range(60))
    work_off(app, database_url, 2, concurrency=5)
    order = query(database_url, "SELECT id FROM dibs_history ORDER BY started_at, id")
    # In the middle of its line; another worker may be deciding on some behind it.
    assert order.index((large_id,)) <= 30
