"""`dibs worker --processes N`: the supervisor keeps its children running and takes them along."""

from __future__ import annotations

import os
import signal
from collections.abc import Callable
from datetime import datetime
from typing import Any

import pytest

from dibs import Dibs, State
from tests.support.command import Folder, Running, is_alive
from tests.support.waiting import eventually

Enqueue = Callable[..., int]


def pids(events: list[dict[str, Any]]) -> list[int]:
    return [event["pid"] for event in events]


def begun(folder: Folder, count: int) -> list[int]:
    """Wait until `count` jobs hold, and return the processes that run them."""
    lines = eventually(
        lambda: found if len(found := folder.lines("begun")) >= count else [], f"{count} jobs"
    )
    return [int(line.split()[1]) for line in lines]


def all_started(supervisor: Running, count: int = 2) -> list[int]:
    """Wait until `count` workers take jobs, and return the processes of the children."""
    supervisor.wait_for("worker_started", count)
    return pids(supervisor.wait_for("child_started", 2))


class TestRunning:
    def test_every_child_runs_jobs(self, shop: Folder, app: Dibs, enqueue: Enqueue):
        with shop.worker("--processes", 2, "--concurrency", 1) as supervisor:
            children = all_started(supervisor)
            jobs = [enqueue("hold", word) for word in "ab"]
            assert sorted(begun(shop, 2)) == sorted(children)
            shop.write("release")
            eventually(lambda: len(shop.lines("done")) == 2, "the jobs' ends")
            supervisor.process.send_signal(signal.SIGTERM)
            assert supervisor.ended().code == 0
        assert {app.jobs.get(job).state for job in jobs} == {State.COMPLETED}
        assert not any(map(is_alive, children))
        assert app.stats().workers == []

    def test_until_idle(self, shop: Folder, enqueue: Enqueue):
        for number in range(20):
            enqueue("note", str(number))
        with shop.worker("--processes", 2, "--until-idle", "--queue", "default") as supervisor:
            assert supervisor.ended().code == 0
        assert len(shop.lines("done")) == 20
        assert len(supervisor.events("child_started")) == 2
        assert len(supervisor.events("child_stopped")) == 2
        assert supervisor.events("child_restarted") == []


class TestRestarting:
    def test_a_killed_child(self, shop: Folder, enqueue: Enqueue):
        with shop.worker("--processes", 2) as supervisor:
            killed, survivor = all_started(supervisor)
            os.kill(killed, signal.SIGKILL)
            (death,) = supervisor.wait_for("child_died")
            assert (death["pid"], death["code"]) == (killed, -signal.SIGKILL)
            (restarted,) = pids(supervisor.wait_for("child_restarted"))
            supervisor.wait_for("worker_started", 3)
            enqueue("note", "after")
            eventually(lambda: shop.lines("done"), "a job after the restart")
            supervisor.process.send_signal(signal.SIGTERM)
            assert supervisor.ended().code == 0
            assert sorted(pids(supervisor.events("child_stopped"))) == sorted([survivor, restarted])

    def test_a_child_that_was_stopped_alone(self, folder: Folder):
        with folder.worker("--processes", 1) as supervisor:
            supervisor.wait_for("worker_started")
            (child,) = pids(supervisor.events("child_started"))
            os.kill(child, signal.SIGTERM)
            assert supervisor.wait_for("child_died")[0]["code"] == 0
            supervisor.wait_for("worker_started", 2)

    def test_a_killed_child_until_idle(self, folder: Folder):
        folder.shop("enqueue", "hold", '{"word": "a"}')
        with folder.worker("--processes", 1, "--until-idle") as supervisor:
            (child,) = begun(folder, 1)
            folder.shop("enqueue", "note", '{"word": "b"}')
            os.kill(child, signal.SIGKILL)
            assert supervisor.ended().code == 0
        assert "b" in folder.lines("done")
        assert len(supervisor.events("child_restarted")) == 1

    def test_waits_longer_and_longer_but_never_gives_up_what_once_ran(self, folder: Folder):
        with folder.worker("--processes", 1) as supervisor:
            supervisor.wait_for("worker_started")
            # By then it has told its supervisor too, which gives up what never ran.
            folder.shop("enqueue", "note", '{"word": "a"}')
            eventually(lambda: folder.lines("done"), "the first job")
            (child,) = pids(supervisor.events("child_started"))
            folder.write("doomed")
            os.kill(child, signal.SIGKILL)
            for count in range(1, 7):
                deaths = supervisor.wait_for("child_died", count)
            (folder.path / "doomed").unlink()
            supervisor.wait_for("worker_started", 2)
            restarts = supervisor.events("child_restarted")
        assert {death["code"] for death in deaths[1:]} == {3}
        times = [
            [datetime.fromisoformat(event["time"]) for event in events]
            for events in (deaths, restarts)
        ]
        pauses = [(back - gone).total_seconds() for gone, back in zip(*times, strict=False)]
        assert pauses[4] > pauses[0]  # 0.8 to 1.6 against 0.05 to 0.1 seconds


class TestStopping:
    def test_ctrl_c_reaches_the_children_once(self, folder: Folder):
        folder.shop("enqueue", "hold", '{"word": "a"}')
        with folder.worker("--processes", 2, terminal=True) as supervisor:
            begun(folder, 1)
            all_started(supervisor)
            supervisor.type(b"\x03")
            supervisor.wait_for("worker_stopping", 2)
            folder.write("release")
            assert supervisor.ended().code == 0
        assert folder.lines("done") == ["a"]
        assert len(supervisor.events("supervisor_stopping")) == 1
        assert {event["interrupted"] for event in supervisor.events("worker_stopped")} == {0}

    def test_the_second_signal_gives_jobs_back(self, shop: Folder, app: Dibs, enqueue: Enqueue):
        job = enqueue("hold", "a")
        with shop.worker("--processes", 2) as supervisor:
            begun(shop, 1)
            supervisor.process.send_signal(signal.SIGTERM)
            supervisor.wait_for("worker_stopping")
            supervisor.process.send_signal(signal.SIGTERM)
            assert supervisor.ended().code == 0
        found = app.jobs.get(job)
        assert (found.state, found.attempt) == (State.READY, 0)

    def test_before_the_children_have_started(self, folder: Folder):
        with folder.worker("--processes", 2) as supervisor:
            children = pids(supervisor.wait_for("child_started"))
            supervisor.process.send_signal(signal.SIGTERM)
            assert supervisor.ended().code == 0
        assert not any(map(is_alive, children))

    def test_children_outlive_a_killed_supervisor_only_to_finish(
        self, shop: Folder, app: Dibs, enqueue: Enqueue
    ):
        job = enqueue("hold", "a")
        with shop.worker("--processes", 2) as supervisor:
            children = all_started(supervisor)
            begun(shop, 1)
            supervisor.process.kill()
            supervisor.wait_for("worker_stopping", 2)
            shop.write("release")
            eventually(lambda: not any(map(is_alive, children)), "the end of the children")
        assert app.jobs.get(job).state is State.COMPLETED


class TestGivingUp:
    @pytest.mark.parametrize("processes", [1, 3])
    def test_on_an_app_that_is_not_there(self, folder: Folder, processes: int):
        ended = folder.run(
            "--app", "shop:aap", "worker", "--processes", processes, "--log-level", "error"
        )
        assert ended.code == 2
        assert "Traceback" not in ended.err
        last = ended.err.splitlines()[-1]
        assert last.startswith("dibs: error: --app shop:aap: module 'shop' has no 'aap'")

    def test_on_a_database_that_cannot_be_reached(self, folder: Folder):
        folder.url = "sqlite:////nowhere/dibs.db"
        with folder.worker("--processes", 2) as supervisor:
            ended = supervisor.ended()
        assert ended.code == 1
        assert "Traceback" not in ended.err
        assert ended.err.splitlines()[-1].startswith("dibs: error: sqlite:////nowhere/dibs.db: ")
        assert len(supervisor.events("child_died")) == 5

    def test_on_children_that_die_without_a_word(self, folder: Folder):
        folder.write("doomed")
        with folder.worker("--processes", 1) as supervisor:
            ended = supervisor.ended()
        assert ended.code == 3
        assert "die before they take a job (exit code 3)" in ended.err.splitlines()[-1]

    def test_no_app_named(self, folder: Folder):
        assert "--app" in folder.run("worker", "--processes", 2).refused(2)
