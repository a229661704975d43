"""Fair queues: tenants take turns, whatever one of them piles up."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable

import pytest

from dibs import Dibs, Fair, Limit, Priority, State, Verdict
from dibs.explain.limits import tenants_turn
from dibs.model.verdicts import judge
from dibs.store.ops.explain import TenantLine
from tests.conformance.working import work

PILE = 300
"""Jobs that one tenant has piled up."""
DUE = {"due": True, "obstacle": None, "next_up": False, "lost": False}
BATCH = 100
"""Jobs that a claim takes at most: by so many the shares may be off."""


@pytest.fixture
def started() -> list[tuple[str, int]]:
    """(tenant, number) of the jobs that ran, in their order."""
    return []


@pytest.fixture
def app(new_app: Callable[..., Dibs], started: list[tuple[str, int]]) -> Dibs:
    """An app with a kind whose jobs have tenants."""
    app = new_app()

    @app.job(queue="mail")
    async def mail(number: int, tenant: str | None = None) -> None:
        started.append((str(tenant), number))

    return app


def pile(app: Dibs, tenant: str | None, count: int, **options: int) -> None:
    mail = app.handlers["mail"].using(**options)  # type: ignore[arg-type]
    args = {} if tenant is None else {"tenant": tenant}
    app.enqueue_many(mail.request(number=n, **args) for n in range(count))


def test_the_small_ones_are_done_soon(app: Dibs, started: list[tuple[str, int]]):
    app.queues.configure("mail", fair_by="tenant")
    pile(app, "big", PILE)
    for small in range(5):
        pile(app, f"small{small}", 10)
    work(app, concurrency=4)
    assert len(started) == PILE + 50
    last = max(place for place, (tenant, _) in enumerate(started) if tenant != "big")
    # Alone they would need 50 turns; with a sixth for the big one 60, give or take a claim.
    assert last < 60 + BATCH


def test_weights_are_shares(app: Dibs, started: list[tuple[str, int]]):
    app.queues.configure("mail", fair_by=Fair("tenant", {"a": 3}))
    for tenant in ("b", "a"):
        pile(app, tenant, PILE)
    work(app, concurrency=4)
    had = Counter(tenant for tenant, _ in started[:PILE])
    assert had.total() == PILE
    assert abs(had["a"] - 3 * PILE / 4) <= BATCH


def test_priorities_order_the_jobs_of_a_tenant(app: Dibs, started: list[tuple[str, int]]):
    app.queues.configure("mail", fair_by="tenant")
    pile(app, "a", PILE)
    pile(app, "b", PILE, priority=Priority.HIGH)
    pile(app, "a", 20, priority=Priority.HIGH)
    work(app, concurrency=4)
    # However urgent the jobs of b are, a has its share, and begins with its own urgent ones.
    had = Counter(tenant for tenant, _ in started[:PILE])
    assert abs(had["a"] - PILE / 2) <= BATCH
    mine = [number for tenant, number in started if tenant == "a"]
    assert sorted(mine[:20]) == list(range(20))
    assert sorted(mine[20:]) == list(range(PILE))


def test_the_exempt_take_no_part(app: Dibs, started: list[tuple[str, int]]):
    app.queues.configure("mail", fair_by=Fair("tenant", exempt=Priority.CRITICAL))
    pile(app, "a", 5)
    pile(app, "a", 3, priority=Priority.CRITICAL)
    assert len(app.jobs.list(state="ready")) == 3
    work(app, concurrency=1)
    assert [number for _, number in started] == [0, 1, 2, 0, 1, 2, 3, 4]


def test_jobs_without_the_arg_are_one_tenant(app: Dibs, started: list[tuple[str, int]]):
    app.queues.configure("mail", fair_by="tenant")
    pile(app, "a", PILE)
    pile(app, None, 20)
    work(app, concurrency=2)
    last = max(place for place, (tenant, _) in enumerate(started) if tenant == "None")
    assert last < 40 + BATCH


def test_a_queue_that_is_fair_no_more_lets_all_go_on(app: Dibs, started: list[tuple[str, int]]):
    app.queues.configure("mail", fair_by="tenant")
    pile(app, "a", PILE)
    app.queues.configure("mail")
    pile(app, "b", 3)
    work(app, concurrency=4)
    assert len(started) == PILE + 3


def test_tenants_and_limits_at_once(new_app: Callable[..., Dibs], started: list[tuple[str, int]]):
    app = new_app()

    @app.job(queue="mail", limits=[Limit(concurrency=1)])
    async def mail(number: int, tenant: str) -> None:
        started.append((tenant, number))

    app.queues.configure("mail", fair_by="tenant")
    pile(app, "a", 30)
    pile(app, "b", 5)
    work(app, concurrency=4)
    assert Counter(tenant for tenant, _ in started) == {"a": 30, "b": 5}


def test_explain_tells_whose_turn_a_job_waits_for(app: Dibs):
    app.queues.configure("mail", fair_by="tenant")
    mail = app.handlers["mail"]
    pile(app, "big", 4)
    urgent = mail.using(priority=Priority.HIGH).enqueue(number=9, tenant="big")
    alone = mail.enqueue(number=1)
    told = [app.jobs.explain(job_id).tenant for job_id in (urgent.id, urgent.id - 1, alone.id)]
    assert [one and (one.tenant, one.ahead) for one in told] == [
        ("big", 0), ("big", 4), (None, 0)
    ]  # fmt: skip
    app.worker(queues=["elsewhere"]).run(until_idle=True)  # finds that they came in
    assert app.jobs.explain(alone.id).tenant == TenantLine(None, 0, 2)
    assert judge(State.BLOCKED, **DUE, tenant=True) is Verdict.TENANTS_TURN
    words = list(tenants_turn(TenantLine("big", 4, 2)))
    assert words == [
        "It waits for the turn of its tenant big: 4 jobs of it go first.",
        "2 tenants of its queue take turns.",
    ]
