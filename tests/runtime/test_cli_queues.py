"""`dibs queues`, and the options and figures of priorities in the other commands."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from dibs import Aging, Dibs, QueuePolicy
from tests.support.command import Folder
from tests.support.waiting import eventually

Enqueue = Callable[..., int]
PRIORITY = "expected a priority and a number, as in 10=2"
WHOLE = "expected a whole number from 1 behind the ="
LEVELS = "expected an integer or one of LOW, NORMAL, HIGH, CRITICAL"
CONFIGURE = ("queues", "configure", "mail")


def words(line: str) -> str:
    return " ".join(line.split())


class TestQueues:
    def test_for_people(self, folder: Folder):
        said = folder.shop("queues", "list")
        assert said.out == "every queue is strict, and none is paused\n"
        said = folder.shop(
            *CONFIGURE, "--after", 600, "--every", 0.5, "--step", 2, "--ceiling", "high",
            "--weight", "10=3", "--weight", "LOW=1",
        )  # fmt: skip
        policy = "aging: +2 after 600 s, then +2 every 0.5 s, up to 10; weights 10=3, 0=1"
        assert (said.code, said.out, said.err) == (0, f"queue mail: {policy}\n", "")
        assert f"mail {policy} configure 2" in words(folder.shop("queues", "list").out)
        assert folder.shop("queues", "reset", "mail").out == "queue mail: strict\n"

    def test_for_programs(self, shop: Folder, app: Dibs):
        app.queues.configure("mail", weights={0: 1})
        found = shop.shop(*CONFIGURE, "--aging", "--json").document
        assert app.queues.get("mail").policy == QueuePolicy(Aging())
        aging = {"after": 600.0, "every": 60.0, "step": 1, "ceiling": 20}
        rest = {
            "weights": {}, "timeout": None, "retention": None, "concurrency": None, "fair": None,
            "unreadable": None,
        }  # fmt: skip
        assert found["policy"] == found["configured"] == {"aging": aging, **rest}
        assert (found["name"], found["declared"]) == ("mail", None)
        assert shop.shop("queues", "list", "--json").document == [found]
        found = shop.shop("queues", "reset", "mail", "--json").document
        assert found["policy"] == {"aging": None, **rest}
        assert found["configured"] is None

    def test_strict_in_place_of_what_the_code_declares(self, folder: Folder):
        declaring = "from shop import app\napp.queues.declare('mail', weights={10: 3, 0: 1})\n"
        folder.write("declaring.py", declaring)
        folder.run("--app", "declaring:app", "worker", "--until-idle")
        assert folder.shop(*CONFIGURE, "--strict").out == "queue mail: strict\n"
        out = folder.shop("queues", "list").out
        assert "mail strict configure weights 10=3, 0=1 2" in words(out)
        assert folder.shop("queues", "reset", "mail").out == "queue mail: weights 10=3, 0=1\n"
        assert "mail weights 10=3, 0=1 code 2" in words(folder.shop("queues", "list").out)


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (
            [*CONFIGURE],
            "which policy? give --strict, or --aging, --weight, --timeout, --concurrency, "
            "--fair-by, one of --keep-… and --max-…, or several",
        ),
        ([*CONFIGURE, "--strict", "--aging"], "--strict means neither aging nor weights"),
        ([*CONFIGURE, "--strict", "--weight", "10=1"], "--strict means neither aging nor weights"),
        ([*CONFIGURE, "--weight", "10"], f"'--weight': '10': {PRIORITY}"),
        ([*CONFIGURE, "--weight", "x=2"], f"'--weight': 'x': {LEVELS}"),
        ([*CONFIGURE, "--weight", "10=0"], f"'--weight': '10=0': {WHOLE}"),
        ([*CONFIGURE, "--weight", "10=1", "--weight", "HIGH=2"], "10=1 and 10=2: give one"),
        (["worker", "--queue", "mail=0"], f"'--queue': 'mail=0': {WHOLE}"),
        (["worker", "--queue", "mail=1.5"], f"'--queue': 'mail=1.5': {WHOLE}"),
        (["worker", "--queue", "mail=3", "--queue", "mail"], "mail=3 and mail: give one"),
        (["worker", "--min-priority", "TOP"], f"'--min-priority': 'TOP': {LEVELS}"),
        (["worker", "--reserve", "10"], f"'--reserve': '10': {PRIORITY}"),
        (["worker", "--processes", 2, "--reserve", "x=2"], f"'--reserve': 'x': {LEVELS}"),
    ],
)
def test_bad_usage(folder: Folder, arguments: list[Any], says: str):
    ended = folder.shop(*arguments)
    assert says in ended.refused(2)
    assert ended.out == ""


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        ([*CONFIGURE, "--every", 0], "aging every=0.0: expected at least 0.000001 seconds"),
        ([*CONFIGURE, "--step", 70_000], "aging step=70000: expected an integer from 1 to 65535"),
        (["queues", "configure", " mail", "--strict"], "queue=' mail': expected a name"),
        (["worker", "--min-priority", 20, "--max-priority", 10], "priorities=(20, 10)"),
        (["worker", "--reserve", "10=10"], "reserve={10: 10} with concurrency=10"),
    ],
)
def test_what_cannot_be_done(folder: Folder, arguments: list[Any], says: str):
    ended = folder.shop(*arguments)
    assert says in ended.refused(1)
    assert ended.out == ""


class TestWorkers:
    def test_take_turns_between_queues(self, shop: Folder, enqueue: Enqueue):
        for _ in range(8):
            enqueue("note", "mail", queue="mail")
            enqueue("note", "reports", queue="reports", priority=20)
            enqueue("note", "odd", queue="a=b")
        ended = shop.shop(
            "worker", "--until-idle", "--concurrency", 1, "--log-level", "error",
            "--queue", "mail=3", "--queue", "reports=1", "--queue", "a=b",
        )  # fmt: skip
        assert (ended.code, ended.err) == (0, "")
        done = shop.lines("done")
        assert [done[:10].count(word) for word in ("mail", "reports", "odd")] == [6, 2, 2]
        assert len(done) == 24

    def test_take_a_range(self, shop: Folder, app: Dibs, enqueue: Enqueue):
        for priority in (-1, 0, 9, 10, 32_767):
            enqueue("note", str(priority), priority=priority)
        for bounds in (["--min-priority", "HIGH"], ["--min-priority", 0, "--max-priority", 9]):
            assert shop.shop("worker", "--until-idle", "--concurrency", 1, *bounds).code == 0
        assert shop.lines("done") == ["32767", "10", "9", "0"]
        assert app.stats().waiting == 1

    @pytest.mark.parametrize("processes", [1, 2])
    def test_serve_as_they_were_told(self, shop: Folder, enqueue: Enqueue, processes: int):
        with shop.worker(
            "--queue", "a=b", "--queue", "c=d=2", "--min-priority", -5, "--max-priority", "high",
            "--concurrency", 3, "--reserve", "10=2",
            *(["--processes", processes] if processes > 1 else []),
        ) as running:  # fmt: skip
            running.wait_for("worker_started", processes)
            for _ in range(2 * processes):
                enqueue("hold", "low", queue="a=b")
                enqueue("hold", "high", queue="c=d", priority=10)
            eventually(lambda: len(shop.lines("begun")) == 3 * processes, "all slots to be busy")
            begun = [line.split()[0] for line in shop.lines("begun")]
            found = shop.shop("stats", "--json").document["workers"]
            shown = words(shop.shop("stats").out)
        assert sorted(begun) == ["high"] * 2 * processes + ["low"] * processes
        assert [
            (one["queues"], one["lowest"], one["highest"], one["concurrency"]) for one in found
        ] == [(["a=b", "c=d"], -5, 10, 3)] * processes
        assert shown.count(" a=b, c=d from -5 to 10 3 0 2") == processes
        assert "worker queues priorities concurrency leaked since last heartbeat" in shown


class TestAgedJobs:
    def test_show_what_they_have_grown_to(self, shop: Folder, app: Dibs, enqueue: Enqueue):
        app.queues.configure("default", aging=Aging(after=60, every=3600, step=3))
        hour_ago = datetime.now(UTC) - timedelta(hours=1)
        aged = enqueue("note", "aged", scheduled_at=hour_ago)
        new = enqueue("note", "new", priority=1)
        listed = [words(line) for line in shop.shop("jobs", "list").out.splitlines()]
        assert [line for line in listed if line.startswith(f"{aged} ready note default 0→3 0/5")]
        assert [line for line in listed if line.startswith(f"{new} ready note default 1 0/5")]
        shown = shop.shop("jobs", "show", aged).out
        assert "\npriority      0→3\n" in shown
        assert "effective" not in shown
