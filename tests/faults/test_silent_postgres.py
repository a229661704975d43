"""PostgreSQL stays connected and says nothing, or hears late: nobody waits for ever."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Iterator
from contextlib import closing
from typing import Any

import pytest

from dibs import Dibs, State, StoreUnavailableError
from dibs.store import Role, postgres_driver, postgres_nudge
from dibs.worker import fetch
from tests.conformance.working import working
from tests.support import recorder
from tests.support.database import query
from tests.support.proxy import Proxy
from tests.support.waiting import WITHIN, eventually

SOON = 0.5
"""How long an answer may take here, of 30 seconds and more."""
BEATS = "SELECT beat_at FROM dibs_workers"


@pytest.fixture
def proxy(postgres_url: str) -> Iterator[Proxy]:
    app = Dibs(postgres_url)
    app.migrate()
    app.close()
    with Proxy(postgres_url) as proxy:
        yield proxy


@pytest.fixture
def impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    for role in Role:
        monkeypatch.setitem(postgres_driver.ANSWER_SECONDS, role, SOON)
    monkeypatch.setattr(postgres_nudge, "ANSWER_SECONDS", SOON)
    monkeypatch.setattr(postgres_nudge, "PROBE_SECONDS", SOON)
    # Without blocked jobs to look for, a claim is one statement: it takes effect when it arrives.
    monkeypatch.setattr(fetch, "ADMIT_SECONDS", 600.0)
    monkeypatch.setattr(fetch, "RECOVER_SECONDS", SOON, raising=False)


@pytest.mark.parametrize("mode", ["sync", "async"])
def test_a_producer_is_told(impatient: None, proxy: Proxy, mode: str):
    app = Dibs(f"{proxy.url}?connect_timeout=2")
    record = app.job(recorder.record.function)

    async def enqueue() -> Any:
        await record.aenqueue()
        proxy.deafen()
        try:
            await record.aenqueue()
        finally:
            proxy.heal()
            again = await record.aenqueue()
            assert (await app.jobs.aget(again.id)).state is State.READY
            await app.aclose()

    def enqueue_in_line() -> None:
        record.enqueue()
        proxy.deafen()
        try:
            record.enqueue()
        finally:
            proxy.heal()
            assert app.jobs.get(record.enqueue().id).state is State.READY
            app.close()

    with pytest.raises(StoreUnavailableError, match=r"cannot be reached: no answer within 0\.5 s"):
        enqueue_in_line() if mode == "sync" else asyncio.run(enqueue())


def test_every_part_of_a_worker_finds_another_connection(impatient: None, proxy: Proxy):
    """Loops, heartbeat and watch: each finds out by itself."""
    app = Dibs(f"{proxy.url}?connect_timeout=2", heartbeat=0.2, lease=3)
    ran: list[int] = []

    @app.job
    async def note(n: int) -> None:
        ran.append(n)

    with working(app, poll=60):
        note.enqueue(1)
        eventually(lambda: ran == [1], "the worker at work")
        proxy.deafen()
        assert proxy.deafened > 2
        proxy.heal()
        [(before,)] = query(proxy.server_url, BEATS)
        eventually(lambda: query(proxy.server_url, BEATS) > [(before,)], "a heartbeat")
        with closing(Dibs(proxy.server_url)) as direct:
            direct.job(note.function).enqueue(2)
        eventually(lambda: ran == [1, 2], "the job that it was told of")  # long before its poll
        running = "SELECT COUNT(*) FROM dibs_running"
        eventually(lambda: query(proxy.server_url, running) == [(0,)], "its end")
    app.close()


def test_one_that_vanished_in_a_transaction_locks_nothing_for_long(
    impatient: None, proxy: Proxy, monkeypatch: pytest.MonkeyPatch
):
    sooner = [
        setting.replace(f"'{postgres_driver.IDLE_SECONDS}s'", "'1s'")
        for setting in postgres_driver.WORKER_SETTINGS
    ]
    assert sooner != list(postgres_driver.WORKER_SETTINGS)
    monkeypatch.setitem(postgres_driver.SETTINGS, Role.WORKER, sooner)
    app = Dibs(f"{proxy.url}?connect_timeout=2")

    @app.job
    async def nothing() -> None: ...

    job = nothing.enqueue()
    # A worker's first claim looks for blocked jobs too, so it is a transaction of several.
    proxy.trap(b"INSERT INTO dibs_running", after=True)
    with working(app):
        eventually(lambda: proxy.trapped, "the claim, whose COMMIT is never heard")
        assert app.jobs.get(job.id).state is State.READY
        eventually(lambda: app.jobs.get(job.id).state is State.COMPLETED, "the next claim")
    app.close()


def test_a_claim_that_is_carried_out_late_is_given_back(impatient: None, proxy: Proxy):
    """Its worker had given it up, and had looked for what it holds before it came."""
    app = Dibs(f"{proxy.url}?connect_timeout=2", lease=600)
    go = threading.Event()
    ran: list[int] = []

    @app.job
    async def wait(n: int) -> None:
        ran.append(n)
        await asyncio.to_thread(go.wait, WITHIN)

    with working(app, concurrency=1, grace=0):
        go.set()
        done = wait.enqueue(0).id
        eventually(lambda: app.jobs.get(done).state is State.COMPLETED, "the worker at work")
        go.clear()
        proxy.trap(b"INSERT INTO dibs_running")
        first, second = app.enqueue_many([wait.request(1), wait.request(2)])
        eventually(lambda: ran == [0, 1], "the first job, by a second claim")
        assert proxy.trapped
        proxy.heal()
        claimed = f"""
            SELECT 1 FROM dibs_running WHERE job_id = {second}
            UNION ALL SELECT 1 FROM dibs_jobs WHERE id = {second} AND claim > 0
        """  # it is given back soon
        eventually(lambda: query(proxy.server_url, claimed), "the late claim")
        assert app.jobs.get(first).state is State.RUNNING
        go.set()
        eventually(lambda: app.jobs.get(second).state is State.COMPLETED, "the end of both")
    assert ran == [0, 1, 2]
    app.close()
