"""What cannot be a schedule is refused where it is written: nothing is opened."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from dibs import (
    ConfigurationError,
    Dibs,
    DibsError,
    InvalidArgsError,
    InvalidCronError,
    InvalidJobError,
    InvalidScheduleError,
    Missed,
    Overlap,
    Timing,
    UnknownKindError,
)


@pytest.fixture
def app(tmp_path: Path) -> Iterator[Dibs]:
    app = Dibs(f"sqlite:///{tmp_path / 'never.db'}")
    yield app
    assert not list(tmp_path.iterdir()), "a file was opened"


def report(word: str = "-") -> None: ...


WRONG: list[tuple[dict[str, Any], type[DibsError], str]] = [
    ({"cron": "0 25 * * *"}, InvalidCronError, "position 3: hour: '25'"),
    ({"cron": "@daily", "tz": "Mars/Olympus"}, InvalidScheduleError, "IANA name"),
    ({"every": 5, "cron": "@daily"}, InvalidScheduleError, "give one of them"),
    ({}, InvalidScheduleError, "give one of them"),
    ({"every": 5, "args": {"wrod": "a"}}, InvalidArgsError, "wrod"),
    ({"every": 5, "args": 5}, InvalidArgsError, "by name"),
    ({"every": 5, "priority": 99_999}, InvalidJobError, "32767"),
    ({"every": 5, "delay": 5}, InvalidJobError, "unknown option 'delay'"),
    ({"every": 5, "timeout": 0}, InvalidJobError, "at least 0.001"),
    ({"every": 5, "overlap": "never"}, InvalidScheduleError, "expected one of allow"),
    ({"every": 5, "missed": "once"}, InvalidScheduleError, "expected Missed.SKIP"),
    ({"every": 5, "jitter": -1}, InvalidScheduleError, "at least 0"),
    ({"every": 5, "name": " x"}, InvalidJobError, "schedule=' x'"),
]


@pytest.mark.parametrize(("said", "error", "problem"), WRONG)
def test_what_cannot_be_is_refused(
    app: Dibs, said: dict[str, Any], error: type[DibsError], problem: str
):
    handler = app.job(report)
    with pytest.raises(error, match=problem):
        app.schedule(**said)(handler)
    assert app.schedules.declared == {}
    with pytest.raises(error, match=problem):
        app.schedules.create(**{"name": "x", "kind": "report"} | said)


def test_only_a_kind_that_is_known_can_be_written(app: Dibs):
    with pytest.raises(UnknownKindError, match="rapport"):
        app.schedules.create("x", "rapport", every=5)


@pytest.mark.parametrize(
    ("said", "error"),
    [
        ({"cron": "0 25 * * *"}, InvalidCronError),
        ({"cron": "@daily", "every": 5}, InvalidScheduleError),
        ({"every": 0.1}, InvalidScheduleError),
        ({"every": 5, "tz": "Europe/Berlin"}, InvalidScheduleError),
    ],
)
def test_an_edit_of_the_timing_is_refused(app: Dibs, said: dict[str, Any], error: type[DibsError]):
    with pytest.raises(error):
        app.schedules.update("x", **said)


@pytest.mark.parametrize("said", [{}, {"cron": "x"}, {"name": "x", "every": 5}, {"tz": "UTC"}])
def test_a_preview_has_to_know_of_what(app: Dibs, said: dict[str, Any]):
    with pytest.raises(InvalidScheduleError):
        app.schedules.preview(**said)


@pytest.mark.parametrize("text", ["", 5, "\0", "x" * 10_001])
def test_reasons_and_authors_are_texts(app: Dibs, text: Any):
    with pytest.raises(DibsError):
        app.schedules.pause("x", text)
    with pytest.raises(DibsError):
        app.schedules.pause("x", author=text)


class TestDeclaring:
    def test_several_for_one_handler(self, app: Dibs):
        @app.schedule("0 9 * * 1-5", tz="Europe/Berlin")
        @app.schedule(every=60, name="often", args={"word": "b"}, overlap="skip", priority=7)
        @app.job(queue="reports")
        def report(word: str = "-") -> None: ...

        daily, often = app.schedules.declared["report"], app.schedules.declared["often"]
        assert daily.timing == Timing("0 9 * * 1-5", tz="Europe/Berlin")
        assert (daily.args, daily.job.queue, daily.missed) == ({}, "reports", Missed.ONCE)
        assert (often.args, often.job.priority, often.overlap) == ({"word": "b"}, 7, Overlap.SKIP)
        assert report("x") is None

    def test_a_name_is_given_once(self, app: Dibs):
        handler = app.schedule(every=60)(app.job(report))
        with pytest.raises(ConfigurationError, match=r"'report' is declared twice; give one of"):
            app.schedule("@daily")(handler)

    def test_a_module_that_is_loaded_again_declares_anew(self, app: Dibs):
        app.schedule(every=60)(app.job(report))
        app.schedule(every=90)(app.job(report))
        assert app.schedules.declared["report"].timing == Timing(every=90)

    def test_stands_above_a_handler(self, app: Dibs):
        schedule: Any = app.schedule(every=60)
        with pytest.raises(ConfigurationError, match=r"write it above @app\.job"):
            schedule(report)
