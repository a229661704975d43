"""`dibs worker --max-jobs`: fresh workers, in the same process or under a supervisor."""

from __future__ import annotations

import signal
from collections.abc import Callable

from dibs import Dibs
from tests.support.command import Folder
from tests.support.waiting import eventually

Enqueue = Callable[..., int]


def test_a_single_worker_starts_anew_in_its_process(shop: Folder, app: Dibs, enqueue: Enqueue):
    for number in range(5):
        enqueue("note", str(number))
    with shop.worker("--max-jobs", 2, "--concurrency", 1) as worker:
        recycled = worker.wait_for("worker_recycling", 2)
        eventually(lambda: len(shop.lines("done")) == 5, "all jobs")
        started = worker.wait_for("worker_started", 3)
        assert {event["pid"] for event in recycled + started} == {worker.pid}
        assert len({event["worker"] for event in started}) == 3
        assert {event["reason"] for event in recycled} == {"it has run 2 jobs"}
        worker.process.send_signal(signal.SIGTERM)
        assert worker.ended().code == 0
    assert shop.lines("done") == list("01234")
    assert app.stats().workers == []


def test_until_idle_goes_on_until_it_is(folder: Folder):
    for number in range(5):
        folder.shop("enqueue", "note", f'{{"word": "{number}"}}')
    ended = folder.shop("worker", "--max-jobs", "2", "--until-idle", "--queue", "default")
    assert ended.code == 0
    assert len(folder.lines("done")) == 5


def test_a_child_is_replaced_at_once(shop: Folder, enqueue: Enqueue):
    for number in range(7):
        enqueue("note", str(number))
    with shop.worker("--processes", 1, "--max-jobs", 2, "--concurrency", 1) as supervisor:
        recycled = supervisor.wait_for("child_recycled", 3)
        eventually(lambda: len(shop.lines("done")) == 7, "all jobs")
        supervisor.wait_for("worker_started", 4)
        assert {event["reason"] for event in recycled} == {"it has run 2 jobs"}
        supervisor.process.send_signal(signal.SIGTERM)
        assert supervisor.ended().code == 0
        assert supervisor.events("child_died") == []
        assert len({event["pid"] for event in supervisor.events("child_restarted")}) == 3
    assert shop.lines("done") == list("0123456")


def test_children_until_idle_are_replaced_too(folder: Folder):
    for number in range(5):
        folder.shop("enqueue", "note", f'{{"word": "{number}"}}')
    with folder.worker(
        "--processes", 1, "--max-jobs", 2, "--until-idle", "--concurrency", 1
    ) as supervisor:
        assert supervisor.ended().code == 0
        assert len(supervisor.events("child_recycled")) == 2
        assert len(supervisor.events("child_stopped")) == 1
    assert len(folder.lines("done")) == 5


def test_a_limit_that_is_already_exceeded_is_refused(folder: Folder):
    refused = folder.shop("worker", "--max-memory", "1MB").refused(1)
    assert refused.startswith("max_memory=1 MB: this process has ")
    assert "'lots'" in folder.shop("worker", "--max-memory", "lots").refused(2)
