"""The commands that enqueue, look and change, for people and for programs."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
from collections.abc import Callable

import pytest

from dibs import Dibs, State
from tests.support.command import Folder
from tests.support.waiting import eventually

Enqueue = Callable[..., int]


class TestMigrate:
    def test_makes_the_tables_once(self, shop: Folder):
        first, second = (shop.shop("migrate", "--json").document for _ in range(2))
        assert first["migrations"][0].startswith("0001_")
        assert second == {"migrations": []}

    def test_for_people(self, shop: Folder):
        assert shop.run("migrate", "--url", shop.url).out.startswith("ran: 0001_")
        assert shop.run("migrate", "--url", shop.url).out == "the tables are up to date\n"


class TestEnqueue:
    def test_stores_a_job(self, shop: Folder, app: Dibs):
        found = shop.shop("enqueue", "note", '{"word": "hi"}', "--json").document
        job = app.jobs.get(found["id"])
        assert (job.kind, job.args, job.state) == ("note", {"word": "hi"}, State.READY)
        assert (found["state"], found["args"], found["queue"]) == ("ready", job.args, "default")

    def test_with_every_option(self, shop: Folder, app: Dibs):
        ended = shop.shop(
            "enqueue", "note", "-", "--priority", "high", "--queue", "mail", "--max-attempts", 2,
            "--scheduled-at", "2130-01-31T08:00:00+02:00", stdin='{"word": "grüße"}',
        )  # fmt: skip
        assert ended.code == 0
        assert "is scheduled: note, queue mail, priority 10, due 2130-01-31 06:00:00Z" in ended.out
        (job,) = app.jobs.list()
        assert (job.args, job.max_attempts) == ({"word": "grüße"}, 2)

    @pytest.mark.parametrize(
        ("given", "priority"), [("LOW", 0), ("critical", 20), ("-7", -7), ("32767", 32767)]
    )
    def test_priority(self, folder: Folder, given: str, priority: int):
        found = folder.shop("enqueue", "note", '{"word": "x"}', "--priority", given, "--json")
        assert found.document["priority"] == priority

    def test_delay(self, folder: Folder):
        found = folder.shop("enqueue", "note", '{"word": "x"}', "--delay", "60.5", "--json")
        assert found.document["state"] == "scheduled"


class TestWhichDatabase:
    def test_said_before_or_behind_the_command(self, folder: Folder):
        for arguments in (
            ["--app", "shop:app", "stats"], ["stats", "--app", "shop:app"],
            ["--url", folder.url, "stats"], ["stats", "--url", folder.url],
        ):  # fmt: skip
            assert folder.run(*arguments, "--json").document

    def test_said_by_the_environment(self, folder: Folder):
        job = folder.run("enqueue", "note", '{"word": "x"}', "--json", DIBS_APP="shop:app").document
        for env in ({"DIBS_APP": "shop:app"}, {"DIBS_URL": folder.url}):
            assert [one["id"] for one in folder.run("jobs", "list", "--json", **env).document] == [
                job["id"]
            ]

    @pytest.mark.parametrize("absent", [["--app", ""], ["--url", ""]])
    def test_by_nobody_where_it_is_empty(self, folder: Folder, absent: list[str]):
        said = {"--app": ["--url", folder.url], "--url": ["--app", "shop:app"]}[absent[0]]
        assert folder.run(*absent, *said, "stats", "--json").document
        assert folder.run(*said, "stats", *absent, "--json").document
        assert "which database?" in folder.run(*absent, "stats").refused(2)

    def test_the_command_line_has_the_last_word(self, folder: Folder):
        env = {"DIBS_APP": "nope:app", "DIBS_URL": "sqlite:////nowhere/dibs.db"}
        assert folder.run("stats", "--json", "--url", folder.url, **env).document


class TestListing:
    def test_filters(self, shop: Folder, enqueue: Enqueue):
        low, high = enqueue("note", "a"), enqueue("note", "b", priority=10)
        other, later = enqueue("note_other", "c"), enqueue("note", "d", delay=60)

        def listed(*options: object) -> list[int]:
            return [job["id"] for job in shop.shop("jobs", "list", "--json", *options).document]

        assert listed() == [later, other, high, low]
        assert listed("--state", "ready", "--queue", "default") == [high, low]
        assert listed("--kind", "note_other") == [other]
        assert listed("--limit", 1) == [later]

    def test_for_people(self, folder: Folder):
        args = json.dumps({"message": "[bold]\x1b[1m two\nlines"})
        folder.shop("enqueue", "fail", args)
        folder.shop("worker", "--until-idle")
        ended = folder.run("jobs", "list", "--url", folder.url)
        assert ended.code == 0
        (line,) = [line for line in ended.out.splitlines() if "fail" in line]
        assert "[bold] [1m two lines" in line
        assert "\x1b" not in ended.out

    def test_says_when_there_are_more(self, folder: Folder):
        for _ in range(2):
            folder.shop("enqueue", "note", '{"word": "x"}')
        ended = folder.run("jobs", "list", "--limit", 1, "--url", folder.url)
        assert ended.err == "The first 1; --limit shows more.\n"


class TestShow:
    def test_has_the_attempts(self, shop: Folder, enqueue: Enqueue):
        job = enqueue("fail", "no luck", max_attempts=2)
        assert shop.shop("worker", "--until-idle").code == 0
        found = shop.shop("jobs", "show", job, "--json").document
        assert (found["id"], found["state"], found["error"]) == (job, "dead", "no luck")
        assert [one["attempt"] for one in found["attempts"]] == [1, 2]
        for one in found["attempts"]:
            assert one["error_type"] == "ValueError"
            assert "raise ValueError(message)" in one["traceback"]

        out = shop.shop("jobs", "show", job).out
        assert "state         dead" in out
        assert 'args          {"message": "no luck"}' in out
        assert "attempt 2 failed: " in out
        assert "raise ValueError(message)" in out


class TestCancel:
    def test_cancels_what_waits(self, shop: Folder, app: Dibs, enqueue: Enqueue):
        jobs = [enqueue("note", "x"), enqueue("note", "y", delay=60)]
        found = shop.shop("jobs", "cancel", *jobs, "--reason", "sold out", "--json").document
        assert [job["id"] for job in found["cancelled"]] == jobs
        for job in map(app.jobs.get, jobs):
            assert (job.state, job.reason) == (State.CANCELLED, "sold out")

    def test_tells_the_worker_of_what_runs(self, shop: Folder, app: Dibs, enqueue: Enqueue):
        job = enqueue("hold", "x")
        with shop.worker() as worker:
            eventually(lambda: shop.lines("begun"), "the job to run")
            said = shop.shop("jobs", "cancel", job, "--reason", "sold out").out
            assert said == f"running, and their workers are told: {job}\n"
            eventually(lambda: app.jobs.get(job).state is State.CANCELLED, "its end")
            worker.process.send_signal(signal.SIGTERM)
            assert worker.ended().code == 0
        assert app.jobs.get(job).reason == "sold out"

    def test_does_what_it_can_and_says_what_it_could_not(
        self, shop: Folder, app: Dibs, enqueue: Enqueue
    ):
        gone, job = enqueue("note", "x"), enqueue("note", "y")
        app.jobs.cancel(gone)
        ended = shop.shop("jobs", "cancel", gone, 10_000, job, "--json")
        said = ended.refused(1)
        assert f"cannot cancel job {gone}: it is cancelled" in said
        assert "no job has the id 10000" in said
        found = json.loads(ended.out)
        assert [one["id"] for one in found["cancelled"]] == [job]
        assert [one["id"] for one in found["refused"]] == [gone, 10_000]

    def test_shows_a_bar_only_on_a_terminal(self, folder: Folder):
        ids = range(1, 41)
        with folder.start(
            "jobs", "cancel", *ids, "--json", "--url", folder.url, terminal=True, screen=True
        ) as running:
            ended = running.ended()
        assert "Cancelling" in ended.err
        assert len(json.loads(ended.out)["refused"]) == len(ids)
        assert ended.code == 1
        assert "and 37 more" in folder.run("jobs", "cancel", *ids, "--url", folder.url).refused(1)


class TestReprioritize:
    def test_moves_what_waits(self, shop: Folder, app: Dibs, enqueue: Enqueue):
        jobs = [enqueue("note", "x"), enqueue("note", "y", delay=60)]
        found = shop.shop("jobs", "reprioritize", *jobs, "--priority", "high", "--json").document
        assert [(job["id"], job["priority"]) for job in found["reprioritized"]] == [
            (id_, 10) for id_ in jobs
        ]
        assert found["refused"] == []
        assert [app.jobs.get(id_).priority for id_ in jobs] == [10, 10]
        ended = shop.shop("jobs", "reprioritize", *jobs, "--priority", -7)
        assert ended.out == f"reprioritized: {jobs[0]} {jobs[1]}\n"
        assert [app.jobs.get(id_).priority for id_ in jobs] == [-7, -7]

    def test_does_what_it_can_and_says_what_it_could_not(
        self, shop: Folder, app: Dibs, enqueue: Enqueue
    ):
        gone, job = enqueue("note", "x"), enqueue("note", "y")
        app.jobs.cancel(gone)
        ended = shop.shop("jobs", "reprioritize", gone, 10_000, job, "--priority", 5, "--json")
        said = ended.refused(1)
        assert f"cannot reprioritize job {gone}: it is cancelled" in said
        assert "no job has the id 10000" in said
        found = json.loads(ended.out)
        assert [one["id"] for one in found["reprioritized"]] == [job]
        assert [one["id"] for one in found["refused"]] == [gone, 10_000]


class TestExplain:
    def test_in_words(self, shop: Folder, enqueue: Enqueue):
        enqueue("note", "x", priority=10)
        job = enqueue("note", "y")
        ended = shop.run("explain", job, "--url", shop.url)
        assert (ended.code, ended.err) == (0, "")
        first, second, third = ended.out.splitlines()
        assert first.startswith(f"Job {job} (note, queue default) is ready: it has been waiting ")
        assert second == (
            "No worker is alive, so nobody starts it. Start one: "
            "dibs --app module:attribute worker --queue default"
        )
        assert third == "Its priority is 0."

    def test_as_data(self, shop: Folder, enqueue: Enqueue):
        enqueue("note", "x", priority=10)
        job = enqueue("note", "y")
        found = shop.shop("explain", job, "--json").document
        assert (found["job"]["id"], found["job"]["state"]) == (job, "ready")
        assert (found["verdict"], found["obstacle"]) == ("no_workers", "no_workers")
        assert (found["ahead"], found["ahead_in_line"], found["ahead_more"]) == (1, 0, False)
        assert (found["candidates"], found["starts_in"]) == ([], None)
        assert found["waited"] >= 0

    def test_what_runs_and_what_waits_behind_it(self, shop: Folder, enqueue: Enqueue):
        running, waiting = enqueue("hold", "x"), enqueue("note", "y")
        with shop.worker("--concurrency", 1, "--min-priority", 0) as worker:
            worker.wait_for("worker_started")
            eventually(lambda: shop.lines("begun"), "the first job to begin")
            assert "is running: worker " in shop.shop("explain", running).out
            found = shop.shop("explain", waiting, "--json").document
            assert (found["verdict"], found["ahead"]) == ("in_line", 0)
            assert found["candidates"][0]["free"] == 0
            assert found["candidates"][0]["worker"]["lowest"] == 0
            said = shop.shop("explain", waiting).out
            assert "1 of 1 live worker can run it, with 0 of 1 slot free: " in said
            shop.write("release")

    def test_an_unknown_job(self, folder: Folder):
        folder.shop("migrate")
        assert folder.shop("explain", 7).refused().startswith("no job has the id 7")


class TestStats:
    def test_count(self, shop: Folder, enqueue: Enqueue):
        for priority in (0, 0, 10):
            enqueue("note", "x", priority=priority)
        enqueue("note_other", "y", delay=60)
        found = shop.shop("stats", "--json").document
        assert (found["states"]["ready"], found["states"]["scheduled"]) == (3, 1)
        assert [(line["priority"], line["ready"]) for line in found["lines"]] == [(10, 1), (0, 2)]
        assert [queue["name"] for queue in found["queues"]] == ["default", "other"]

        out = shop.shop("stats").out
        assert "no worker is alive" in out
        assert "note_other" in out


class TestHelp:
    @pytest.mark.parametrize(
        "command", ["worker", "enqueue", "jobs", "explain", "queues", "stats", "migrate"]
    )
    def test_of_a_command(self, folder: Folder, command: str):
        ended = folder.run(command, "--help")
        assert (ended.code, ended.err) == (0, "")
        assert ended.out.startswith(f"Usage: dibs {command} ")
        assert command in folder.run("--help").out

    def test_without_a_command(self, folder: Folder):
        ended = folder.run()
        assert ended.code == 2
        assert ended.err.startswith("Usage: dibs ")

    def test_imports_nothing_that_it_does_not_need(self):
        script = """
import sys
from dibs.cli import main
try:
    main(["--help"])
except SystemExit:
    wanted = {"rich", "psycopg", "dibs.bench.command", "dibs.cli.demo", "dibs.cli.jobs"}
    sys.exit(", ".join(wanted & set(sys.modules)) or 0)
"""
        ended = subprocess.run([sys.executable, "-c", script], capture_output=True, check=False)
        assert (ended.returncode, ended.stderr) == (0, b"")
