"""Many threads and processes enqueue the same keys at once: one job to each."""

from __future__ import annotations

import threading
from collections import Counter
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from dibs import Dibs, State, Unique
from tests.conformance.callers import caller_of
from tests.conformance.working import working
from tests.support.database import misplaced, query
from tests.support.together import together
from tests.support.waiting import WITHIN, eventually

NewApp = Callable[..., Dibs]
THREADS, ROUNDS = 8, 20

PROCESS = """
import sys
from dibs import Dibs, Unique
app = Dibs(sys.argv[1])
def note(n: int) -> None: ...
note = app.job(unique=Unique())(note)
print("here", flush=True)
sys.stdin.read()
order = [note.request(n) for n in range(200)]
ids = app.enqueue_many(order if sys.argv[2] == "up" else order[::-1])
print(*(ids if sys.argv[2] == "up" else ids[::-1]))
"""


def note(n: int) -> None: ...


def test_threads(new_app: NewApp, database_url: str):
    apps = [new_app() for _ in range(THREADS)]
    handlers = [app.job(unique=Unique())(note) for app in apps]
    at_once = threading.Barrier(THREADS)

    def enqueue(handler: object) -> list[tuple[int, bool]]:
        found = []
        for n in range(ROUNDS):
            at_once.wait(WITHIN)
            job = handler.enqueue(n)  # type: ignore[attr-defined]
            found.append((job.id, job.duplicate))
        return found

    with ThreadPoolExecutor(THREADS) as pool:
        answers = list(pool.map(enqueue, handlers))
    for same in zip(*answers, strict=True):
        assert len({id_ for id_, _ in same}) == 1
        assert Counter(duplicate for _, duplicate in same) == {False: 1, True: THREADS - 1}
    assert query(database_url, "SELECT COUNT(*) FROM dibs_jobs") == [(ROUNDS,)]


def test_processes_with_many_keys_in_opposite_orders(
    new_app: NewApp, database_url: str, tmp_path: Path
):
    new_app().migrate()
    lines = [[database_url, direction] for direction in ("up", "down", "up", "down")]
    answers = set(together(PROCESS, tmp_path, lines))
    assert len(answers) == 1
    assert len(set(answers.pop().split())) == 200
    assert query(database_url, "SELECT COUNT(*) FROM dibs_jobs") == [(200,)]


def test_enqueues_beside_workers_that_end_the_jobs(new_app: NewApp, database_url: str):
    """At no moment two active jobs of a key, none lost, and no key left at the end."""
    app = new_app()
    at_once: Counter[int] = Counter()
    most: Counter[int] = Counter()
    lock = threading.Lock()

    @app.job(unique=Unique())
    def run(n: int) -> None:
        with lock:
            at_once[n] += 1
            most[n] = max(most[n], at_once[n])
        with lock:
            at_once[n] -= 1

    def enqueue(_: int) -> set[int]:
        ids = {run.enqueue(n % 3).id for n in range(60)}
        return ids | set(app.enqueue_many(run.request(n % 3) for n in range(30)))

    with working(app), ThreadPoolExecutor(4) as pool:
        ids = set().union(*pool.map(enqueue, range(4)))
        eventually(lambda: query(database_url, "SELECT COUNT(*) FROM dibs_jobs") == [(0,)], "ends")
    assert set(most.values()) == {1}
    assert {app.jobs.get(id_).state for id_ in ids} == {State.COMPLETED}
    assert query(database_url, "SELECT COUNT(*) FROM dibs_history") == [(len(ids),)]
    assert query(database_url, "SELECT * FROM dibs_keys") == []
    assert misplaced(database_url) == []


@pytest.mark.parametrize("commits", [True, False], ids=["commit", "rollback"])
def test_another_waits_for_the_transaction_that_takes_the_key(
    new_app: NewApp, database_url: str, commits: bool
):
    app = new_app()
    handler = app.job(unique=Unique())(note)
    free = app.job(kind="free")(note)
    app.migrate()
    driver = "sqlite3" if database_url.startswith("sqlite") else "psycopg"
    with caller_of(driver, database_url, None) as caller, ThreadPoolExecutor(1) as pool:
        caller.begin()
        first = handler.using(connection=caller.connection).enqueue(1)
        other = pool.submit(handler.enqueue, 1)
        if driver == "psycopg":
            waits = (
                "SELECT COUNT(*) FROM pg_stat_activity WHERE wait_event_type = 'Lock' "
                "AND datname = current_database()"
            )
            eventually(lambda: query(database_url, waits) == [(1,)], "the other to wait")
            assert not free.enqueue(1).duplicate  # who needs no such key does not
        caller.commit() if commits else caller.rollback()
        job = other.result(WITHIN)
    assert (job.duplicate, job.id == first.id) == (
        (True, True) if commits else (False, job.id == first.id)
    )
    assert query(database_url, "SELECT COUNT(*) FROM dibs_jobs WHERE kind = 'note'") == [(1,)]


def test_a_transaction_that_found_a_key_held_holds_up_nobody(new_app: NewApp, database_url: str):
    """On PostgreSQL a lock on the holder's key would stop the worker that ends the job."""
    app = new_app()
    handler = app.job(unique=Unique())(note)
    job = handler.enqueue(1)
    driver = "sqlite3" if database_url.startswith("sqlite") else "psycopg"
    with caller_of(driver, database_url, None) as caller:
        caller.begin()
        assert handler.using(connection=caller.connection).enqueue(1).duplicate
        if driver == "sqlite3":  # its one writer holds up everybody, until it ends
            caller.commit()
        with working(app):
            eventually(lambda: app.jobs.get(job.id).state is State.COMPLETED, "its end")
        assert not handler.enqueue(1).duplicate
        caller.rollback()
