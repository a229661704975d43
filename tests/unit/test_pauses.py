"""Pauses as values: what is refused, and how they are told."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from dibs import ConfigurationError, DibsError, InvalidJobError, Pause
from dibs.model.pauses import NewPause, Paused, make_pause, pauses_of

TEN = datetime(2026, 5, 4, 10, tzinfo=UTC)


def make(**options: Any) -> NewPause:
    return make_pause(**dict.fromkeys(("reason", "author", "until", "lasting")) | options)


def test_a_pause_may_say_nothing():
    assert make() == NewPause(None, None, None, None)


def test_times_are_microseconds():
    assert make(until=datetime(1970, 1, 1, 0, 0, 7, tzinfo=UTC)).until == 7_000_000
    assert make(lasting=timedelta(minutes=1)) == make(lasting=60)
    assert make(lasting=0.001).lasting == 1000


@pytest.mark.parametrize(
    ("options", "error", "says"),
    [
        ({"until": TEN.replace(tzinfo=None)}, InvalidJobError, "until=.* has no time zone"),
        ({"until": 60}, InvalidJobError, "until=60: expected an aware datetime"),
        ({"until": TEN, "lasting": 1}, InvalidJobError, "give one of them"),
        ({"lasting": 0}, ConfigurationError, "lasting=0: expected at least 0.001"),
        ({"lasting": TEN}, ConfigurationError, "lasting=.*: expected seconds"),
        ({"reason": " "}, DibsError, "reason=' ': expected text"),
        ({"author": 7}, DibsError, "author=7: expected text"),
        ({"author": "\0"}, DibsError, "without null characters"),
    ],
)
def test_refuses_what_cannot_be(options: dict[str, Any], error: type[DibsError], says: str):
    with pytest.raises(error, match=says):
        make(**options)


@pytest.mark.parametrize(
    ("pause", "said"),
    [
        (Pause(TEN, None, None, None), "since 2026-05-04 10:00:00Z"),
        (
            Pause(TEN, TEN + timedelta(hours=1), "ann", "the relay is down"),
            "since 2026-05-04 10:00:00Z, until 2026-05-04 11:00:00Z, by ann: the relay is down",
        ),
        (Pause(TEN, None, None, "why"), "since 2026-05-04 10:00:00Z: why"),
    ],
)
def test_is_told_in_words(pause: Pause, said: str):
    assert str(pause) == said


def test_queues_and_kinds_of_one_name_are_apart():
    one, two = (Pause(TEN, None, by, None) for by in ("ann", "bob"))
    paused = [Paused("kind", "mail", one), Paused("queue", "mail", two)]
    assert pauses_of("kind", paused) == {"mail": one}
    assert pauses_of("queue", paused) == {"mail": two}
