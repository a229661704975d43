"""`dibs bench` as people run it: measures everything, refuses to destroy jobs, leaves nothing."""

from __future__ import annotations

import json
import os
import re
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, closing
from itertools import chain

import psutil
import pytest

from dibs import Dibs
from dibs.bench.raw import BATCH, ID, drain, open_raw
from dibs.store import Role

FIGURES = {
    "enqueue_one", "enqueue_many", "drain_1", "drain_2", "cpu", "memory", "pickup_p50",
    "pickup_p99", "beside_p50", "beside_p99", "beside_max",
}  # fmt: skip
COMPARED = {"enqueue_one", "enqueue_many", "drain_1", "drain_2", "cpu", "memory"}
SECONDS = 60


def command(url: str, *options: str) -> list[str]:
    return [sys.executable, "-m", "dibs", "bench", "--url", url, *options]


def children(url: str) -> Iterator[psutil.Process]:
    """The processes that work on this database, whoever their parent is by now."""
    for process in psutil.process_iter():
        try:
            if process.environ().get("DIBS_URL") == url and process.pid != os.getpid():
                yield process
        except (psutil.NoSuchProcess, psutil.AccessDenied, psutil.ZombieProcess):
            continue


def eventually(condition: Callable[[], bool], what: str) -> None:
    deadline = time.monotonic() + SECONDS
    while not condition():
        assert time.monotonic() < deadline, what
        time.sleep(0.01)


def test_measures_everything_and_leaves_nothing(postgres_url: str):
    run = subprocess.run(
        command(postgres_url, "--jobs", "300", "--json"),
        capture_output=True,
        text=True,
        check=False,
    )

    assert run.returncode == 0, run.stderr
    report = json.loads(run.stdout)
    assert report["jobs"] == 300
    assert set(report["figures"]) == FIGURES
    for name, figure in report["figures"].items():
        assert figure["dibs"] > 0, name
        assert (figure["raw"] is not None) == (name in COMPARED), name
        if name in COMPARED:
            assert figure["raw"] > 0, name
            assert figure["ratio"] == pytest.approx(figure["dibs"] / figure["raw"])
    assert not list(children(postgres_url))
    with_nothing(postgres_url)


def test_shows_all_of_it_as_a_table_and_no_progress_bar_in_a_pipe(sqlite_url: str):
    run = subprocess.run(
        command(sqlite_url, "--jobs", "300"), capture_output=True, text=True, check=False
    )

    assert (run.returncode, run.stderr) == (0, "")
    _, _, head, _, *rows, _, _ = (
        re.split(r"  +", line.strip()) for line in run.stdout.splitlines()
    )
    assert head == ["figure", "dibs", "raw", "ratio", "unit"]
    assert len(rows) == len(FIGURES)
    compared = [row for row in rows if len(row) == len(head)]
    assert len(compared) == len(COMPARED)
    for label, dibs, *_ in rows:
        assert float(dibs.replace(",", "")) > 0, label
    for label, _, raw, ratio, _ in compared:
        assert float(raw.replace(",", "")) > 0, label
        assert float(ratio) >= 0, label
    for words in ("drain, 1 worker", "enqueue, in bulk", "p99"):
        assert words in run.stdout
    assert not list(children(sqlite_url))
    with_nothing(sqlite_url)


def with_nothing(url: str) -> None:
    app = Dibs(url)
    stats = app.stats()
    assert not any(stats.states.values())
    assert not stats.workers
    assert not app.jobs.list()
    app.close()


def test_bare_loops_take_every_job_once_and_from_the_front(
    new_app: Callable[..., Dibs], database_url: str
):
    new_app()
    with ExitStack() as stack:
        producer, one, other = (
            stack.enter_context(closing(open_raw(database_url, role)))
            for role in (Role.PRODUCER, Role.WORKER, Role.WORKER)
        )
        producer.enqueue_many(["{}"] * (3 * BATCH + 50))
        taken = [sorted(job[ID] for job in raw.claim()) for raw in (one, other, one, one)]
        assert [len(ids) for ids in taken] == [BATCH, BATCH, BATCH, 50]
        ids = [*chain(*taken)]
        assert ids == sorted(set(ids))
        assert not other.claim()

        producer.enqueue("{}")  # where one was at the end, and the other had found nothing
        producer.enqueue_many(["{}"] * (2 * BATCH))
        assert drain(one) == 2 * BATCH + 1
        assert not other.claim()
        assert producer.ended() == 2 * BATCH + 1


def test_refuses_a_database_with_jobs(new_app: Callable[..., Dibs], database_url: str):
    app = new_app()

    @app.job
    def order(n: int) -> None: ...

    job = order.enqueue(1)
    run = subprocess.run(
        command(database_url, "--jobs", "40"), capture_output=True, text=True, check=False
    )

    assert run.returncode == 1
    assert "holds jobs" in run.stderr
    assert len(run.stderr.splitlines()) == 1
    assert app.jobs.get(job.id).state == "ready"


def test_refuses_two_databases(sqlite_url: str):
    run = subprocess.run(
        command(sqlite_url, "--postgres"), capture_output=True, text=True, check=False
    )

    assert run.returncode == 2
    assert "--postgres" in run.stderr


@pytest.mark.parametrize("end", [signal.SIGINT, signal.SIGKILL], ids=lambda end: end.name)
def test_takes_its_processes_along(sqlite_url: str, end: signal.Signals):
    bench = subprocess.Popen(
        command(sqlite_url, "--jobs", "5000"), stdout=subprocess.PIPE, stderr=subprocess.PIPE
    )
    eventually(lambda: any(children(sqlite_url)), "no process was started")

    bench.send_signal(end)
    bench.communicate()

    eventually(lambda: not any(children(sqlite_url)), "a process is left")
    if end is signal.SIGINT:
        assert bench.returncode == 1
        with_nothing(sqlite_url)
