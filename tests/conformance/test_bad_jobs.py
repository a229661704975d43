"""What must not be stored: each refused in words that help, with nothing half stored."""

# ruff: noqa: ARG005 - every case is called with the face and a handler

from __future__ import annotations

import math
from collections.abc import Callable
from datetime import UTC, date, datetime, timedelta, timezone
from typing import Any

import pydantic
import pytest

from dibs import (
    ConfigurationError,
    DibsError,
    InvalidArgsError,
    InvalidJobError,
    JobNotFoundError,
    UnknownKindError,
)
from tests.conformance.conftest import OpenFace
from tests.conformance.face import Face

NAIVE = datetime(2026, 5, 4, 12)  # noqa: DTZ001 - that is what is refused
AWARE = datetime(2026, 5, 4, 12, tzinfo=UTC)


class Reading(pydantic.BaseModel):
    value: float


def pay(order: int, on: date, note: str = "") -> None: ...


def anything(value: Any) -> None: ...


def measure(reading: Reading) -> None: ...


def recursive() -> list[Any]:
    loop: list[Any] = []
    loop.append(loop)
    return loop


Case = Callable[[Face, Any], Any]
DAY = date(2026, 5, 4)

CALLS: dict[str, tuple[Case, type[Exception], list[str]]] = {
    # args of a call
    "wrong type": (lambda f, h: h.enqueue("x", DAY), InvalidArgsError, ["pay", "order", "'x'"]),
    "wrong type, named": (lambda f, h: h.enqueue(1, on=7.5), InvalidArgsError, ["on", "7.5"]),
    "missing": (lambda f, h: h.enqueue(1), InvalidArgsError, ["'on'", "order: ", "on: "]),
    "too many": (lambda f, h: h.enqueue(1, DAY, "n", 4), InvalidArgsError, ["too many", "note: "]),
    "unknown": (lambda f, h: h.enqueue(1, DAY, notes="n"), InvalidArgsError, ["'notes'"]),
    "twice": (lambda f, h: h.enqueue(1, DAY, order=2), InvalidArgsError, ["'order'"]),
    "of a request": (lambda f, h: h.request("x", DAY), InvalidArgsError, ["order", "'x'"]),
    "with options": (lambda f, h: h.using(priority=1).enqueue(1), InvalidArgsError, ["'on'"]),
    "among many": (
        lambda f, h: f.enqueue_many(h.request(n, DAY) for n in (1, 2, "x")),
        InvalidArgsError,
        ["order", "'x'"],
    ),
    # args by name
    "unknown kind": (
        lambda f, h: f.enqueue("pya", {}),
        UnknownKindError,
        ["'pya'", "registered kinds: anything, measure, pay", "@app.job"],
    ),
    "by name: not an object": (
        lambda f, h: f.enqueue("pay", [1, DAY]), InvalidArgsError, ["by name", "[1"]
    ),
    "by name: missing": (lambda f, h: f.enqueue("pay", {"order": 1}), InvalidArgsError, ["on: "]),
    "by name: none": (lambda f, h: f.enqueue("pay"), InvalidArgsError, ["order: ", "on: "]),
    "by name: unknown": (
        lambda f, h: f.enqueue("pay", {"order": 1, "on": DAY, "notes": "n"}),
        InvalidArgsError,
        ["notes", "'n'"],
    ),
    "by name: wrong type": (
        lambda f, h: f.enqueue("pay", {"order": "one", "on": DAY}),
        InvalidArgsError,
        ["order: ", "integer", "'one'"],
    ),
    "by name: not a string": (
        lambda f, h: f.enqueue("anything", {1: 2}), InvalidArgsError, ["1", "string"]
    ),
    # not JSON
    "an object": (
        lambda f, h: f.enqueue("anything", {"value": object()}), InvalidArgsError, ["JSON", "obj"]
    ),
    "a function": (lambda f, h: f.enqueue("anything", {"value": pay}), InvalidArgsError, ["JSON"]),
    "a loop": (
        lambda f, h: f.enqueue("anything", {"value": recursive()}), InvalidArgsError, ["JSON"]
    ),
    "half a character": (
        lambda f, h: f.enqueue("anything", {"value": "\ud800"}), InvalidArgsError, ["JSON"]
    ),
    "what its model would not load": (
        lambda f, h: f.enqueue("measure", {"reading": Reading(value=math.nan)}),
        InvalidArgsError,
        ["reading.value"],
    ),
    # time
    "naive": (
        lambda f, h: h.using(scheduled_at=NAIVE), InvalidJobError, ["2026-05-04T12:00", "aware"]
    ),
    "naive, by name": (
        lambda f, h: f.enqueue("pay", {"order": 1, "on": DAY}, scheduled_at=NAIVE),
        InvalidJobError,
        ["2026-05-04T12:00", "aware"],
    ),
    "no datetime": (lambda f, h: h.using(scheduled_at=DAY), InvalidJobError, ["aware datetime"]),
    "both times": (
        lambda f, h: h.using(delay=1, scheduled_at=AWARE), InvalidJobError, ["one of them"]
    ),
    "beyond the calendar": (
        lambda f, h: h.using(
            scheduled_at=datetime.max.replace(tzinfo=timezone(timedelta(hours=-1)))
        ).enqueue(1, DAY),
        InvalidJobError,
        ["9999"],
    ),
    "a delay beyond the calendar": (
        lambda f, h: h.using(delay=timedelta.max).enqueue(1, DAY), DibsError, ["delay", "at most"]
    ),
    "a negative delay": (lambda f, h: h.using(delay=-1), DibsError, ["delay=-1", "at least 0"]),
    "a delay in words": (lambda f, h: h.using(delay="1h"), DibsError, ["'1h'", "timedelta"]),
    "a delay of NaN": (lambda f, h: h.using(delay=math.nan), DibsError, ["delay=nan"]),
    "an endless delay": (lambda f, h: h.using(delay=math.inf), DibsError, ["delay=inf"]),
    # options
    "priority too high": (
        lambda f, h: h.using(priority=32768), InvalidJobError, ["32768", "-32768 to 32767"]
    ),
    "priority too low": (
        lambda f, h: f.enqueue("pay", {"order": 1, "on": DAY}, priority=-32769),
        InvalidJobError,
        ["-32769", "-32768 to 32767"],
    ),
    "priority no number": (lambda f, h: h.using(priority="high"), InvalidJobError, ["'high'"]),
    "priority no integer": (lambda f, h: h.using(priority=1.0), InvalidJobError, ["1.0"]),
    "priority a truth": (lambda f, h: h.using(priority=True), InvalidJobError, ["True"]),
    "no attempts": (lambda f, h: h.using(max_attempts=0), InvalidJobError, ["max_attempts=0"]),
    "too many attempts": (
        lambda f, h: h.using(max_attempts=1_000_001), InvalidJobError, ["1 to 1000000"]
    ),
    "attempts no integer": (lambda f, h: h.using(max_attempts=2.0), InvalidJobError, ["2.0"]),
    "no queue": (lambda f, h: h.using(queue=""), InvalidJobError, ["queue=''"]),
    "queue no name": (lambda f, h: h.using(queue=None), InvalidJobError, ["queue=None"]),
    "queue with blanks": (lambda f, h: h.using(queue=" q"), InvalidJobError, ["' q'", "blanks"]),
    "queue with a line": (lambda f, h: h.using(queue="a\nb"), InvalidJobError, ["printable"]),
    "queue with a zero": (lambda f, h: h.using(queue="a\0b"), InvalidJobError, ["printable"]),
    "queue too long": (lambda f, h: h.using(queue="q" * 201), InvalidJobError, ["at most 200"]),
    "an unknown option": (lambda f, h: h.using(prio=5), DibsError, ["prio", "priority"]),
    "an unknown option, by name": (
        lambda f, h: f.enqueue("pay", {"order": 1, "on": DAY}, que="q"), DibsError, ["que", "queue"]
    ),
    # many
    "no request": (lambda f, h: f.enqueue_many([h]), InvalidJobError, ["request("]),
    # reading
    "unknown state": (
        lambda f, h: f.jobs.list(state="red"), DibsError, ["'red'", "ready", "running"]
    ),
    "no limit": (lambda f, h: f.jobs.list(limit=0), DibsError, ["limit=0", "1 to 10000"]),
    "too high a limit": (lambda f, h: f.jobs.list(limit=10_001), DibsError, ["1 to 10000"]),
    "limit no integer": (lambda f, h: f.jobs.list(limit="5"), DibsError, ["'5'"]),
    "limit a truth": (lambda f, h: f.jobs.list(limit=True), DibsError, ["True"]),
    "queue no string": (lambda f, h: f.jobs.list(queue=5), DibsError, ["queue=5"]),
    "kind no string": (lambda f, h: f.jobs.list(kind=pay), DibsError, ["kind="]),
    "unknown id": (lambda f, h: f.jobs.get(123_456_789), JobNotFoundError, ["123456789"]),
    "huge id": (lambda f, h: f.jobs.get(2**70), JobNotFoundError, [str(2**70)]),
    "huge id of attempts": (lambda f, h: f.jobs.attempts(-(2**70)), JobNotFoundError, ["-118"]),
    "cancel unknown id": (lambda f, h: f.jobs.cancel(123_456_789), JobNotFoundError, ["123456789"]),
    "reprioritize unknown id": (
        lambda f, h: f.jobs.reprioritize(123_456_789, 5), JobNotFoundError, ["123456789"]
    ),
    "reprioritize no integer": (
        lambda f, h: f.jobs.reprioritize(1, "high"), InvalidJobError, ["priority='high'"]
    ),
    "reprioritize a truth": (
        lambda f, h: f.jobs.reprioritize(1, True), InvalidJobError, ["True", "integer"]
    ),
    "reprioritize too high": (
        lambda f, h: f.jobs.reprioritize(1, 32_768), InvalidJobError, ["-32768 to 32767"]
    ),
    "reprioritize too low": (
        lambda f, h: f.jobs.reprioritize(1, -32_769), InvalidJobError, ["-32769"]
    ),
    "id no integer": (lambda f, h: f.jobs.get("7"), DibsError, ["'7'", "integer"]),
    "id a truth": (lambda f, h: f.jobs.cancel(True), DibsError, ["True", "integer"]),
    "reason no string": (lambda f, h: f.jobs.cancel(1, 5), DibsError, ["reason=5"]),
    "reason with a zero": (lambda f, h: f.jobs.cancel(1, "a\0b"), DibsError, ["reason='a"]),
    "reason with half a character": (
        lambda f, h: f.jobs.cancel(1, "a\ud800"), DibsError, ["reason='a"]
    ),
}  # fmt: skip


@pytest.mark.parametrize("case", CALLS)
def test_is_refused_in_words_that_help(lasting_face: Face, case: str):
    call, error, words = CALLS[case]
    handler = lasting_face.handler(pay)
    lasting_face.handler(anything)
    lasting_face.handler(measure)
    before = lasting_face.rows()
    with pytest.raises(error) as raised:
        call(lasting_face, handler)
    for word in words:
        assert word in str(raised.value)
    assert "\n" not in str(raised.value)
    assert lasting_face.rows() == before


class TestTheLimitOfArgs:
    def test_by_default_a_megabyte(self, lasting_face: Face):
        handler = lasting_face.handler(anything)
        with pytest.raises(InvalidArgsError, match=r"1000012 bytes.* limit of 1000000.*max_args"):
            handler.enqueue("x" * 1_000_000)
        with pytest.raises(InvalidArgsError, match="limit"):
            lasting_face.enqueue_many([handler.request("x"), handler.request("ä" * 500_000)])
        assert lasting_face.rows() == (0, 0)

    def test_up_to_it_all_goes(self, face: Face):
        job = face.handler(anything).enqueue("x" * (1_000_000 - 12))
        assert len(face.jobs.get(job.id).args["value"]) == 1_000_000 - 12

    def test_may_be_another(self, new_face: OpenFace):
        face = new_face(max_args_bytes=20)
        handler = face.handler(anything)
        handler.enqueue("12345678")
        with pytest.raises(InvalidArgsError, match=r"21 bytes .* limit of 20"):
            handler.enqueue("123456789")
        assert face.rows() == (1, 1)

    @pytest.mark.parametrize("limit", [0, -1, True, 1.5, None])
    def test_must_be_a_number(self, new_face: OpenFace, limit: Any):
        with pytest.raises(ConfigurationError, match=f"max_args_bytes={limit}"):
            new_face(max_args_bytes=limit)
