"""Room under limits that handlers take for a block, and limits that they hold up."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from dibs import Dibs, JobContext, Limit, Retry, RetryAfter, State, StopRequestedError
from dibs.errors import ConfigurationError, InvalidJobError
from tests.conformance.face import Face
from tests.conformance.working import declare, logged, work
from tests.support.database import query
from tests.support.waiting import WITHIN, eventually

NewApp = Callable[..., Dibs]
GATE = Limit(name="gate", concurrency=2)


@pytest.fixture
def app(new_app: NewApp) -> Dibs:
    app = new_app()
    app.migrate()
    app.limits.declare([GATE])
    return app


class Gauge:
    """Counts who is inside at once."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._inside = 0
        self.most = 0
        self.came = 0

    @contextmanager
    def inside(self) -> Iterator[None]:
        with self._lock:
            self._inside += 1
            self.came += 1
            self.most = max(self.most, self._inside)
        yield
        with self._lock:
            self._inside -= 1


class TestSlots:
    def test_are_never_more_than_the_limit_says(self, app: Dibs, database_url: str):
        gauge = Gauge()

        @app.job
        async def on_loop(ctx: JobContext, n: int) -> None:
            async with ctx.limit("gate"):
                with gauge.inside():
                    await asyncio.sleep(0.01)

        @app.job
        def in_thread(ctx: JobContext, n: int) -> None:
            with ctx.limit("gate"), gauge.inside():
                threading.Event().wait(0.01)

        app.enqueue_many([kind.request(n) for n in range(4) for kind in (on_loop, in_thread)])
        work(app, concurrency=12)
        assert (gauge.most <= 2, gauge.came) == (True, 8)
        assert app.stats().states[State.COMPLETED] == 8
        assert query(database_url, "SELECT COUNT(*) FROM dibs_slots") == [(0,)]

    def test_are_shared_with_jobs_whose_kind_has_the_limit(self, app: Dibs):
        gauge = Gauge()

        @app.job
        async def block(ctx: JobContext, n: int) -> None:
            async with ctx.limit("gate"):
                with gauge.inside():
                    await asyncio.sleep(0.01)

        @app.job(limits=[GATE])
        async def whole(n: int) -> None:
            with gauge.inside():
                await asyncio.sleep(0.01)

        app.enqueue_many([kind.request(n) for n in range(4) for kind in (block, whole)])
        work(app, concurrency=12)
        assert (gauge.most <= 2, gauge.came) == (True, 8)

    def test_count_for_each_value_of_a_key(self, app: Dibs):
        app.limits.declare([Limit(name="account", concurrency=1)])
        inside: set[int] = set()
        met = asyncio.Event()

        @app.job
        async def pay(ctx: JobContext, account: int) -> None:
            async with ctx.limit("account", key=account):
                inside.add(account)
                if len(inside) == 2:
                    met.set()
                await asyncio.wait_for(met.wait(), WITHIN)

        app.enqueue_many([pay.request(account) for account in (1, 2)])
        work(app)
        assert app.stats().states[State.COMPLETED] == 2

    def test_are_several_of_one_job(self, app: Dibs):
        gauge = Gauge()

        @app.job
        async def fan_out(ctx: JobContext) -> None:
            async def call() -> None:
                async with ctx.limit("gate"):
                    with gauge.inside():
                        await asyncio.sleep(0.01)

            await asyncio.gather(*(call() for _ in range(4)))

        fan_out.enqueue()
        work(app)
        assert (gauge.most <= 2, gauge.came) == (True, 4)

    def test_come_free_when_a_block_fails(self, app: Dibs, database_url: str):
        @app.job(retry=Retry(max_attempts=1))
        async def fail(ctx: JobContext) -> None:
            async with ctx.limit("gate"):
                raise ValueError("no")

        job = fail.enqueue()
        work(app)
        assert (app.jobs.get(job.id).error, query(database_url, "SELECT 1 FROM dibs_slots")) == (
            "no", []
        )  # fmt: skip

    def test_a_thread_that_waits_hears_that_it_shall_stop(self, app: Dibs):
        heard = threading.Event()

        @app.job(timeout=0.3, retry=Retry(max_attempts=1))
        def wait(ctx: JobContext) -> None:
            try:
                with ctx.limit("gate"):
                    return
            except StopRequestedError:
                heard.set()
                raise

        @app.job
        async def hold(ctx: JobContext) -> int:
            async with ctx.limit("gate"), ctx.limit("gate"):
                job = await wait.aenqueue()
                await asyncio.to_thread(heard.wait, WITHIN)
                return job.id

        holding = hold.enqueue()
        work(app)
        assert heard.is_set()
        assert app.jobs.get(app.jobs.get(holding.id).result).reason == "timeout"


class TestRates:
    def test_wait_their_time(self, app: Dibs):
        app.limits.declare([Limit(name="api", rate=20, burst=1)])
        started: list[datetime] = []

        @app.job
        async def call(ctx: JobContext, n: int) -> None:
            async with ctx.limit("api"):
                started.append(datetime.now(UTC))

        app.enqueue_many([call.request(n) for n in range(5)])
        work(app, concurrency=5)
        # The first may come late to its own start, so all it says is when the last may come.
        assert len(started) == 5
        assert max(started) - app.jobs.list()[0].created_at >= timedelta(seconds=0.2)

    def test_take_what_a_block_costs(self, new_app: NewApp, database_url: str):
        app = new_app(clock=lambda: datetime(2026, 5, 4, tzinfo=UTC))
        app.migrate()
        app.limits.declare([Limit(name="api", rate=10, burst=3)])

        @app.job
        async def call(ctx: JobContext) -> None:
            async with ctx.limit("api", cost=3):
                return

        call.enqueue()
        work(app)
        [[full_at]] = query(database_url, "SELECT full_at FROM dibs_limit_keys")
        noon = int(datetime(2026, 5, 4, tzinfo=UTC).timestamp()) * 1_000_000
        assert full_at - noon == 300_000


class TestWhatCannotBe:
    @pytest.mark.parametrize(
        ("said", "error", "message"),
        [
            ({"name": "nope"}, ConfigurationError, r"no limit has this name; declare it .*Limit\("),
            ({"name": "api", "cost": 4}, InvalidJobError, "burst of 3"),
            ({"name": "api", "cost": 0}, InvalidJobError, "cost=0: expected an integer"),
            ({"name": ""}, InvalidJobError, "limit"),
        ],
    )
    def test_is_a_clear_error(
        self, app: Dibs, said: dict[str, Any], error: type[Exception], message: str
    ):
        app.limits.declare([Limit(name="api", rate=10, burst=3)])
        found: list[Exception] = []

        @app.job
        async def call(ctx: JobContext) -> None:
            try:
                async with ctx.limit(**said):
                    return
            except Exception as raised:
                found.append(raised)

        call.enqueue()
        work(app)
        assert type(found[0]) is error
        with pytest.raises(error, match=message):
            raise found[0]

    def test_the_only_slot_is_the_job_s_own(self, app: Dibs):
        @app.job(limits=[Limit(name="one", concurrency=1)], retry=Retry(max_attempts=1))
        async def call(ctx: JobContext) -> None:
            async with ctx.limit("one"):
                return

        job = call.enqueue()
        work(app)
        assert "would wait for its own end" in str(app.jobs.get(job.id).error)

    def test_a_plain_block_in_an_async_handler(self, app: Dibs):
        @app.job(retry=Retry(max_attempts=1))
        async def call(ctx: JobContext) -> None:
            with ctx.limit("gate"):
                return

        job = call.enqueue()
        work(app)
        assert "write async with" in str(app.jobs.get(job.id).error)


class TestRetryAfter:
    """On a clock that stands until a test moves it."""

    @pytest.fixture
    def app(self, new_app: NewApp) -> Dibs:
        self.now = datetime(2026, 5, 4, 12, tzinfo=UTC)
        app = new_app(clock=lambda: self.now)
        app.migrate()
        return app

    def declare(self, app: Dibs, key: str | None, limit: str) -> tuple[Any, list[int]]:
        started: list[int] = []

        @app.job(limits=[Limit(name="stripe", concurrency=5, key=key)])
        async def pay(account: int) -> None:
            started.append(account)
            if len(started) == 1:
                raise RetryAfter(30, limit=limit)

        return pay, started

    def test_holds_everything_under_the_job_s_key(self, app: Dibs):
        pay, started = self.declare(app, "{account}", "stripe")
        pay.enqueue(1)
        work(app)
        pay.enqueue(1)
        pay.enqueue(2)
        work(app)
        assert started == [1, 2]
        [held] = [key for key in app.limits.get("stripe").keys if key.value == "1"]
        assert held.held_until == held.opens_at == self.now + timedelta(seconds=30)
        self.now += timedelta(seconds=31)
        work(app)
        assert started == [1, 2, 1, 1]

    @pytest.mark.parametrize("executor", ["loop", "thread"])
    def test_holds_the_key_that_it_names(self, app: Dibs, executor: str):
        app.limits.declare([Limit(name="accounts", concurrency=5)])

        def pay(account: int) -> None:
            raise RetryAfter(30, limit="accounts", key=account)

        declare(app, executor, pay).enqueue(7)
        work(app)
        [held] = app.limits.get("accounts").keys
        assert (held.value, held.held_until) == ("7", self.now + timedelta(seconds=30))

    def test_of_a_key_that_cannot_be(self):
        with pytest.raises(ConfigurationError, match="key='a' without limit=: say of which limit"):
            RetryAfter(30, key="a")
        with pytest.raises(InvalidJobError, match=r"limit 'stripe': key=<object .*> has no JSON"):
            RetryAfter(30, limit="stripe", key=object())

    def test_of_a_block_has_to_be_json_too(self, app: Dibs):
        @app.job(retry=Retry(max_attempts=1))
        async def call(ctx: JobContext) -> None:
            async with ctx.limit("stripe", key=b"a"):
                return

        job = call.enqueue()
        work(app)
        assert "limit 'stripe': key=b'a' has no JSON" in str(app.jobs.get(job.id).error)

    def test_holds_for_a_job_that_is_buried_too(self, app: Dibs):
        pay, started = self.declare(app, None, "stripe")
        pay.using(max_attempts=1).enqueue(1)
        work(app)
        later = pay.enqueue(2)
        work(app)
        assert started == [1]
        assert app.jobs.get(later.id).reason == "limit stripe"

    def test_of_an_unknown_limit_is_told_and_loses_no_job(
        self, app: Dibs, caplog: pytest.LogCaptureFixture
    ):
        pay, started = self.declare(app, None, "strype")
        pay.enqueue(1)
        work(app)
        assert logged(caplog, "limit_unknown") == [{"limit": "strype"}]
        self.now += timedelta(seconds=31)
        work(app)
        assert started == [1, 1]


def test_a_replay_with_other_args_has_their_limits(new_face: Callable[..., Face]):
    face = new_face()
    runs: list[str] = []

    def sync(customer: str) -> None:
        runs.append(customer)
        if customer == "wrong":
            raise ValueError("no such customer")

    limits = [Limit(name="customer", concurrency=1, key="{customer}")]
    handler = face.handler(sync, limits=limits, retry=Retry(max_attempts=1))
    job = handler.enqueue("wrong")
    face.work()
    face.dead.replay(job.id, args={"customer": "right"})
    [key] = [key for key in face.limits.get("customer").keys if key.waiting] or [None]
    assert key is None or key.value == "right"
    assert face.jobs.get(job.id).reason == "limit customer, key right"
    face.work()
    assert runs == ["wrong", "right"]


def test_a_block_that_is_cancelled_loses_its_slot(app: Dibs, database_url: str):
    @app.job(timeout=0.2, retry=Retry(max_attempts=1))
    async def stay(ctx: JobContext) -> None:
        async with ctx.limit("gate"):
            await asyncio.sleep(WITHIN)

    stay.enqueue()
    work(app)
    eventually(
        lambda: query(database_url, "SELECT 1 FROM dibs_slots") == [], "the slot to come free"
    )
