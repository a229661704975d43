"""A worker is killed right before or after its handler's commit: each effect is there once."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from dibs import Dibs, State
from tests.conformance.working import working
from tests.support.database import misplaced, query
from tests.support.nursery import Process, python
from tests.support.waiting import WITHIN, eventually

NewApp = Callable[..., Dibs]
JOBS = 6

WORKER = """
import os, signal, sqlite3, sys
from contextlib import closing
import psycopg
from dibs import Dibs, JobContext

url, guard, moment = sys.argv[1:]
app = Dibs(url, heartbeat=0.1, lease=1)

def connect():
    if url.startswith("sqlite"):
        return sqlite3.connect(url.removeprefix("sqlite:///"), timeout=30)
    return psycopg.connect(url)

def die(now):
    if moment == now:
        os.kill(os.getpid(), signal.SIGKILL)

@app.job
def charge(ctx: JobContext, n: int) -> None:
    with closing(connect()) as connection:
        if guard == "complete_in":
            connection.execute(f"INSERT INTO charges VALUES ({n})")
            ctx.complete_in(connection)
        else:
            with ctx.once("charge", connection) as first:
                if first:
                    connection.execute(f"INSERT INTO charges VALUES ({n})")
        die("before")
        connection.commit()
        die("after")

app.worker(concurrency=1).run(until_idle=moment == "never")
"""


def start(url: str, guard: str, moment: str) -> Process:
    return python("-W", "error", "-c", WORKER, url, guard, moment)


@pytest.mark.parametrize("moment", ["before", "after"])
@pytest.mark.parametrize("guard", ["complete_in", "once"])
def test_every_effect_is_there_once(new_app: NewApp, database_url: str, guard: str, moment: str):
    app = new_app(heartbeat=0.1, lease=1)

    @app.job
    def charge(n: int) -> None: ...

    app.migrate()
    query(database_url, "CREATE TABLE charges (n INTEGER)")
    ids = app.enqueue_many(charge.request(n) for n in range(JOBS))
    killed = start(database_url, guard, moment)
    try:
        assert killed.wait(WITHIN) == -9
    finally:
        killed.kill()
    done = 1 if moment == "after" else 0
    assert query(database_url, "SELECT COUNT(*) FROM charges") == [(done,)]

    @app.job(kind="other")
    def other() -> None: ...

    app.handlers.pop("charge")
    with working(app, queues=["default"]):  # rescues what the killed one held, and runs nothing
        running = "SELECT COUNT(*) FROM dibs_running"
        eventually(lambda: query(database_url, running) == [(0,)], "the rescue")
    survivor = start(database_url, guard, "never")
    assert survivor.wait(WITHIN) == 0
    assert sorted(query(database_url, "SELECT n FROM charges")) == [(n,) for n in range(JOBS)]
    jobs = [app.jobs.get(id_) for id_ in ids]
    assert {job.state for job in jobs} == {State.COMPLETED}
    crashes = 0 if (guard, moment) == ("complete_in", "after") else 1
    assert sum(job.crashes > 0 for job in jobs) >= crashes
    assert misplaced(database_url) == []
