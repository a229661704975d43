"""A worker's life: started, woken by nudges, beating, several side by side."""

from __future__ import annotations

import asyncio
import threading
import time
from collections import Counter
from collections.abc import Callable

import psycopg
import pytest

from dibs import Backoff, ConfigurationError, Dibs, Retry, SchemaError, State
from tests.conformance.working import working
from tests.support.nursery import said_by
from tests.support.waiting import eventually

NewApp = Callable[..., Dibs]

ENQUEUE = """
import sys
from dibs import Dibs
app = Dibs(sys.argv[1])
@app.job
def ping(n: int) -> None: ...
print(ping.enqueue(1).id)
app.close()
"""


def ready(app: Dibs) -> None:
    """Wait until one worker has started and found nothing."""
    eventually(lambda: app.stats().workers, "a worker")


class TestNudges:
    def test_of_another_process_wake_an_idle_worker(
        self, new_app: NewApp, database_url: str, mode: str
    ):
        app = new_app()
        app.job(lambda: None, kind="warm").enqueue()

        @app.job
        async def ping(n: int) -> None: ...

        with working(app, mode, poll=30):
            # The worker has claimed once, so the next claim is 20 seconds away without a nudge.
            eventually(lambda: app.stats().states[State.COMPLETED] == 1, "the first job")
            job_id = int(said_by(ENQUEUE, database_url))
            eventually(lambda: app.jobs.get(job_id).state is State.COMPLETED, "the end", within=10)

    def test_of_a_transaction_come_late_by_a_poll_at_most(
        self, new_app: NewApp, database_url: str, engine: str
    ):
        app = new_app()

        @app.job
        async def ping(n: int) -> None: ...

        with working(app, poll=0.3):
            ready(app)
            if engine == "postgres":
                with psycopg.connect(database_url) as connection:
                    job = ping.using(connection=connection).enqueue(1)
            else:
                import sqlite3
                from contextlib import closing

                path = database_url.removeprefix("sqlite:///")
                with closing(sqlite3.connect(path)) as file, file:
                    job = ping.using(connection=file).enqueue(1)
            eventually(lambda: app.jobs.get(job.id).state is State.COMPLETED, "its end", within=10)

    def test_of_a_worker_that_fails_a_job_reach_the_others(self, new_app: NewApp):
        app = new_app()
        workers = []

        @app.job(max_attempts=20, retry=Retry(backoff=Backoff.exponential(base=0)))
        async def fail_until_two(n: int) -> None:
            workers.append(asyncio.get_running_loop())
            if len(workers) < 10:
                raise ValueError("again")

        with working(app, poll=30), working(app, poll=30):
            eventually(lambda: len(app.stats().workers) == 2, "both workers")
            job = fail_until_two.enqueue(1)
            eventually(lambda: app.jobs.get(job.id).state is State.COMPLETED, "its end", within=10)


class TestHeartbeat:
    def test_goes_on_while_a_handler_blocks_the_loop(self, new_app: NewApp):
        app = new_app(heartbeat=0.1, lease=0.8)
        runs = []
        seen = threading.Event()

        @app.job
        async def block() -> None:
            runs.append(time.monotonic())
            seen.set()
            time.sleep(2.4)  # noqa: ASYNC251 - what a careless handler does, for three leases

        job = block.enqueue()
        # Two event loops: the other worker's is free to rescue all the time.
        with working(app, concurrency=1), working(app, concurrency=1):
            assert seen.wait(20)
            eventually(lambda: app.jobs.get(job.id).state is State.COMPLETED, "its end")
        done = app.jobs.get(job.id)
        assert (len(runs), done.attempt, done.crashes) == (1, 1, 0)

    def test_a_worker_is_listed_while_it_lives(self, new_app: NewApp):
        app = new_app()
        app.job(lambda: None, kind="one", queue="q1")
        app.job(lambda: None, kind="two", queue="q2")
        with working(app, concurrency=7) as worker:
            ready(app)
            (record,) = app.stats().workers
            assert (record.id, record.concurrency) == (worker.id, 7)
            assert (set(record.queues), set(record.kinds)) == ({"q1", "q2"}, {"one", "two"})
            assert record.started_at <= record.beat_at
        assert app.stats().workers == []


class TestSeveral:
    def test_two_workers_in_one_process_share_the_work(self, new_app: NewApp, mode: str):
        app = new_app()
        ran: Counter[int] = Counter()
        workers = set()
        both = threading.Barrier(2, timeout=20)

        @app.job
        def meet() -> None:
            both.wait()  # passes only if two run at once
            workers.add(threading.get_ident())

        @app.job
        async def note(n: int) -> None:
            ran[n] += 1

        meet.enqueue(), meet.enqueue()
        app.enqueue_many(note.request(n) for n in range(500))
        with working(app, mode, concurrency=1), working(app, mode, concurrency=1):
            eventually(lambda: app.stats().states[State.COMPLETED] == 502, "all jobs to end")
        assert len(workers) == 2
        assert ran == Counter(range(500))

    def test_two_workers_in_one_event_loop(self, new_app: NewApp):
        app = new_app()
        ran: Counter[int] = Counter()

        @app.job
        async def note(n: int) -> None:
            ran[n] += 1

        app.enqueue_many(note.request(n) for n in range(500))

        async def main() -> None:
            workers = app.worker(), app.worker()
            await asyncio.gather(*(worker.arun(until_idle=True) for worker in workers))

        asyncio.run(main())
        assert ran == Counter(range(500))


class TestStarting:
    def test_without_tables(self, engine: str, postgres_url: str):
        if engine == "sqlite":  # makes them itself: see the tests of the client
            return
        app = Dibs(postgres_url)
        app.job(lambda: None, kind="any")
        with pytest.raises(SchemaError, match="dibs migrate"):
            app.worker().run()
        app.close()

    @pytest.mark.parametrize(
        "options",
        [{"concurrency": 0}, {"concurrency": True}, {"queues": []}, {"queues": "mail"}],
    )
    def test_bad_options(self, new_app: NewApp, options: dict[str, object]):
        app = new_app()
        app.job(lambda: None, kind="any")
        with pytest.raises(ConfigurationError):
            app.worker(**options)  # type: ignore[arg-type]

    def test_without_handlers(self, new_app: NewApp):
        with pytest.raises(ConfigurationError, match="no handlers"):
            new_app().worker()
