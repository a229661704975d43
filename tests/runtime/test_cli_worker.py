"""`dibs worker` in one process: it runs jobs, logs, and stops as it is told."""

from __future__ import annotations

import json
import signal
from collections.abc import Callable

import pytest

from dibs import Dibs, State
from tests.support.command import Folder
from tests.support.waiting import eventually

Enqueue = Callable[..., int]


def test_runs_until_idle(shop: Folder, app: Dibs, enqueue: Enqueue):
    jobs = [enqueue("note", "a"), enqueue("note", "b", priority=10), enqueue("note_other", "c")]
    assert shop.shop("worker", "--until-idle", "--concurrency", 1).code == 0
    assert sorted(shop.lines("done")) == ["a", "b", "c"]
    assert {app.jobs.get(job).state for job in jobs} == {State.COMPLETED}


def test_serves_the_queues_it_is_told_to(shop: Folder, app: Dibs, enqueue: Enqueue):
    enqueue("note", "a")
    enqueue("note_other", "b")
    assert shop.shop("worker", "--until-idle", "--queue", "other", "--queue", "more").code == 0
    assert shop.lines("done") == ["b"]


def test_the_first_signal_lets_jobs_finish(shop: Folder, app: Dibs, enqueue: Enqueue):
    job = enqueue("hold", "a")
    with shop.worker() as worker:
        eventually(lambda: shop.lines("begun"), "the job")
        worker.process.send_signal(signal.SIGTERM)
        worker.wait_for("worker_stopping")
        shop.write("release")
        assert worker.ended().code == 0
    assert app.jobs.get(job).state is State.COMPLETED


def test_the_second_signal_gives_jobs_back(shop: Folder, app: Dibs, enqueue: Enqueue):
    job = enqueue("hold", "a")
    with shop.worker() as worker:
        eventually(lambda: shop.lines("begun"), "the job")
        worker.process.send_signal(signal.SIGINT)
        worker.wait_for("worker_stopping")
        worker.process.send_signal(signal.SIGINT)
        assert worker.ended().code == 0
    found = app.jobs.get(job)
    assert (found.state, found.attempt) == (State.READY, 0)


def test_ctrl_c_on_a_terminal(folder: Folder):
    folder.shop("enqueue", "hold", '{"word": "a"}')
    with folder.worker(terminal=True) as worker:
        eventually(lambda: folder.lines("begun"), "the job")
        worker.type(b"\x03")
        worker.wait_for("worker_stopping")
        folder.write("release")
        assert worker.ended().code == 0
    assert folder.lines("done") == ["a"]


class TestLogs:
    def test_as_text(self, folder: Folder):
        ended = folder.shop("worker", "--until-idle")
        assert (ended.code, ended.out) == (0, "")
        assert all(" INFO " in line for line in ended.err.splitlines())

    def test_as_json(self, folder: Folder):
        folder.shop("enqueue", "fail", '{"message": "two\\nlines"}')
        ended = folder.shop("worker", "--until-idle", "--log-format", "json")
        events = [json.loads(line)["event"] for line in ended.err.splitlines()]
        assert events == [
            "worker_started", "job_failed", "job_buried", "worker_stopping", "worker_stopped"
        ]  # fmt: skip

    @pytest.mark.parametrize("level", ["warning", "ERROR"])
    def test_only_what_is_important_enough(self, folder: Folder, level: str):
        ended = folder.shop("worker", "--until-idle", "--log-level", level)
        assert (ended.code, ended.err) == (0, "")
