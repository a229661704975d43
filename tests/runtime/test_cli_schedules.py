"""`dibs schedules`: all that `app.schedules` can do, for people and for programs."""

from __future__ import annotations

from typing import Any

import pytest

from dibs.cli.values import missed
from tests.support.command import Folder

DECLARING = """
from shop import app, note
app.schedule("0 9 * * 1-5", tz="Europe/Berlin", args={"word": "a"})(note)
"""


def words(text: str) -> str:
    return " ".join(text.split())


def test_a_schedule_s_life_for_people(folder: Folder):
    said = folder.shop("schedules", "list").out
    assert said == "there are no schedules: code declares them with @app.schedule, or create one\n"
    said = folder.shop(
        "schedules", "create", "evening", "note", '{"word": "b"}', "--cron", "0 18 * * *",
        "--tz", "Europe/Berlin", "--overlap", "skip", "--missed", "all=3", "--jitter", 1.5,
        "--queue", "slow", "--priority", "high", "--max-attempts", 2, "--timeout", 60,
    )  # fmt: skip
    assert (said.code, said.err) == (0, "")
    told = "0 18 * * * Europe/Berlin; missed all=3; overlap skip; jitter 1.5 s"
    assert said.out.startswith(f"schedule evening: {told}; next 20")
    said = folder.shop("schedules", "update", "evening", "--every", 3600, "--args", '{"word": "c"}')
    told = told.replace("0 18 * * * Europe/Berlin", "every 3600 s")
    assert said.out.startswith(f"schedule evening: {told}; next 20")
    assert folder.shop("schedules", "run", "evening").out == "job 1 is ready: note, queue slow\n"
    said = folder.shop("schedules", "pause", "evening", "--reason", "quiet", "--author", "jo")
    assert said.out.startswith(f"schedule evening: {told}; paused since 20")
    assert said.out.endswith("by jo: quiet\n")
    shown = words(folder.shop("schedules", "show", "evening").out)
    for part in (
        'args {"word": "c"}', "queue slow", "priority 10", "max attempts 2", "timeout 60.0",
        "source created", "paused by jo", "pause reason quiet", "enqueued, by hand 1 20",
    ):  # fmt: skip
        assert part in shown
    assert "by jo: quiet" in folder.shop("schedules", "list").out
    assert "; next 20" in folder.shop("schedules", "resume", "evening").out
    assert folder.shop("schedules", "delete", "evening").out == "deleted: evening\n"


def test_what_code_declares_for_programs(folder: Folder):
    folder.write("declaring.py", DECLARING)
    folder.run("--app", "declaring:app", "worker", "--until-idle")
    [found] = folder.shop("schedules", "list", "--json").document
    assert (found["name"], found["source"], found["tz"]) == ("note", "code", "Europe/Berlin")
    edited = folder.shop("schedules", "update", "note", "--cron", "@daily", "--json").document
    assert (edited["source"], edited["cron"], edited["args"]) == ("edited", "@daily", {"word": "a"})
    again = folder.shop("schedules", "reset", "note", "--json").document
    assert (again["source"], again["cron"]) == ("code", "0 9 * * 1-5")
    job = folder.shop("schedules", "run", "note", "--json").document
    shown = folder.shop("schedules", "show", "note", "--limit", 1, "--json").document
    assert [(tick["job_id"], tick["manual"]) for tick in shown["ticks"]] == [(job["id"], True)]
    paused = folder.shop("schedules", "pause", "note", "--json").document
    assert (paused["paused_at"] is None, paused["next_at"]) == (False, None)
    found = folder.shop("schedules", "preview", "note", "--count", 2, "--json").document
    assert [moment[10:16] for moment in found] == ["T09:00"] * 2
    assert folder.shop("schedules", "resume", "note", "--json").document["next_at"]
    assert folder.shop("schedules", "delete", "note", "--json").document == {"deleted": "note"}


def test_a_preview_of_an_expression_needs_no_database(folder: Folder):
    said = folder.run(
        "schedules", "preview", "--cron", "0 9 29 2 *", "--tz", "Asia/Tokyo", "--count", 2
    )
    assert (said.code, said.err) == (0, "")
    assert [line[-14:] for line in said.out.splitlines()] == ["09:00:00 +0900"] * 2
    assert not list(folder.path.glob("*.db"))


CREATE = ("schedules", "create", "x", "note", '{"word": "a"}')


@pytest.mark.parametrize(
    ("arguments", "says", "code"),
    [
        ([*CREATE, "--cron", "0 25 * * *"], "position 3: hour: '25'; expected 0 to 23", 1),
        ([*CREATE, "--every", 0], "finite number of at least 1", 2),
        ([*CREATE, "--every", 5, "--missed", "all"], "expected skip, once, or all=N", 2),
        ([*CREATE[:-1], '{"wrod": 1}', "--every", 5], "wrod", 1),
        (["schedules", "update", "x"], "what shall change?", 2),
        (["schedules", "update", "x", "--every", 5], "no schedule is named 'x'", 1),
        (["schedules", "preview"], "whose ticks?", 2),
    ],
)
def test_what_cannot_be_is_one_line(folder: Folder, arguments: list[Any], says: str, code: int):
    assert says in folder.shop(*arguments).refused(code)


def test_missed_is_read_as_it_is_shown():
    for text in ("skip", "once", "all=7"):
        assert str(missed(text)) == text
