"""Which ticks get a job: those that came late, those that overlap; intervals, jitter, and texts."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from itertools import islice
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dibs import InvalidScheduleError, Missed, Overlap, ScheduleSpec, TickOutcome, Timing, Unique
from dibs.model.job import NewJob
from dibs.model.schedule import spec_from_json, spec_to_json
from dibs.model.ticks import COUNTED, GRACE, Turn, due_ticks, overlapping, turns
from dibs.model.times import SECOND
from dibs.model.timing import delayed

ENQUEUED, MISSED, OVERLAP = TickOutcome.ENQUEUED, TickOutcome.MISSED, TickOutcome.OVERLAP
MINUTES = Timing(every=60)
HOUR = 3600 * SECOND


def minutes(*numbers: int) -> list[int]:
    return [number * GRACE for number in numbers]


class TestDueTicks:
    @given(every=st.integers(1, 7200), since=st.integers(0, 100), span=st.integers(0, 400_000))
    def test_are_all_that_there_are_or_the_newest(self, every: int, since: int, span: int):
        step = every * SECOND
        now = (since * every + span) * SECOND
        all_of_them = range(since * step, now + 1, step)
        assert due_ticks(Timing(every=every), since * step, now) == list(
            all_of_them[-COUNTED - 1 :]
        )

    def test_of_many_years_are_found_at_once(self):
        now = 50 * 366 * 24 * HOUR
        found = due_ticks(Timing("* * * * *", tz="Europe/Berlin"), GRACE, now)
        assert found == list(range(now - COUNTED * GRACE, now + 1, GRACE))
        assert len(due_ticks(Timing("0 0 1 1 *"), 0, now)) == 51


class TestMissed:
    def test_nothing_was(self):
        for missed in (Missed.SKIP, Missed.ONCE, Missed.all(3)):
            assert turns([GRACE], 2 * GRACE, missed) == [Turn(GRACE, ENQUEUED)]

    def test_the_newest_is_more_than_a_minute_late(self):
        now = 2 * GRACE + 1
        assert turns([GRACE], now, Missed.SKIP) == [Turn(GRACE, MISSED)]
        assert turns([GRACE], now, Missed.ONCE) == [Turn(GRACE, ENQUEUED)]
        assert turns([GRACE], now, Missed.all(3)) == [Turn(GRACE, ENQUEUED)]

    def test_others_came_due_as_well(self):
        due, now = minutes(1, 2, 3, 4, 5), 5 * GRACE
        assert turns(due, now, Missed.SKIP) == [Turn(5 * GRACE, ENQUEUED, 4)]
        assert turns(due, now, Missed.ONCE) == [Turn(5 * GRACE, ENQUEUED, 4)]
        assert turns(due, now, Missed.all(2)) == [
            Turn(3 * GRACE, ENQUEUED, 2), Turn(4 * GRACE, ENQUEUED), Turn(5 * GRACE, ENQUEUED)
        ]  # fmt: skip
        assert turns(due, now + GRACE + 1, Missed.all(2)) == [
            Turn(4 * GRACE, ENQUEUED, 3), Turn(5 * GRACE, ENQUEUED)
        ]  # fmt: skip
        assert turns(due, now + GRACE + 1, Missed.SKIP) == [Turn(5 * GRACE, MISSED, 4)]

    @given(
        due=st.lists(st.integers(1, 10_000), min_size=1, unique=True).map(sorted),
        late=st.integers(0, 3 * GRACE),
        missed=st.one_of(
            st.sampled_from([Missed.SKIP, Missed.ONCE]), st.integers(1, 1000).map(Missed.all)
        ),
    )
    def test_every_tick_is_a_row_or_counted_once(self, due: list[int], late: int, missed: Missed):
        rows = turns(due, due[-1] + late, missed)
        assert rows[-1].tick == due[-1]
        assert [row.tick for row in rows] == due[-len(rows) :]
        assert len(rows) + sum(row.passed for row in rows) == len(due)
        assert all(row.passed == 0 for row in rows[1:])
        jobs = sum(row.outcome is ENQUEUED for row in rows)
        in_time = late <= GRACE
        most = {"skip": int(in_time), "once": 1, "all": missed.most + in_time}[missed.how]
        assert jobs == min(most, len(due))

    @pytest.mark.parametrize("most", [0, 1001, True, 1.5, "3"])
    def test_all_of_an_odd_number_is_refused(self, most: Any):
        with pytest.raises(InvalidScheduleError, match="expected a number from 1 to 1000"):
            Missed.all(most)

    @pytest.mark.parametrize("missed", [Missed.SKIP, Missed.ONCE, Missed.all(1), Missed.all(1000)])
    def test_is_read_as_it_is_written(self, missed: Missed):
        assert Missed.read(str(missed)) == missed
        assert eval(repr(missed)) == missed

    @pytest.mark.parametrize("text", ["", "never", "all", "all=", "all=x", "all=0", "all=10000"])
    def test_other_texts_are_refused(self, text: str):
        with pytest.raises(InvalidScheduleError, match="1000"):
            Missed.read(text)


class TestOverlap:
    ROWS = (Turn(1, ENQUEUED, 7), Turn(2, ENQUEUED), Turn(3, ENQUEUED))

    def outcomes(self, overlap: Overlap, *, busy: bool) -> list[TickOutcome]:
        found = overlapping(self.ROWS, overlap, busy=busy)
        assert [(turn.tick, turn.passed) for turn in found] == [(1, 7), (2, 0), (3, 0)]
        return [turn.outcome for turn in found]

    @pytest.mark.parametrize("busy", [True, False])
    def test_allowed(self, busy: bool):
        assert self.outcomes(Overlap.ALLOW, busy=busy) == [ENQUEUED] * 3

    def test_skipped_while_one_has_not_ended(self):
        assert self.outcomes(Overlap.SKIP, busy=True) == [OVERLAP] * 3
        assert self.outcomes(Overlap.SKIP, busy=False) == [ENQUEUED, OVERLAP, OVERLAP]

    @pytest.mark.parametrize("busy", [True, False])
    def test_the_newest_takes_the_place_of_those_before(self, busy: bool):
        overlap = Overlap.CANCEL_PREVIOUS
        assert self.outcomes(overlap, busy=busy) == [OVERLAP, OVERLAP, ENQUEUED]

    @pytest.mark.parametrize("overlap", Overlap)
    def test_what_gets_no_job_overlaps_with_nothing(self, overlap: Overlap):
        assert overlapping([Turn(1, MISSED)], overlap, busy=True) == [Turn(1, MISSED)]


class TestIntervals:
    def test_are_a_grid_from_1970_on(self):
        at = datetime(2026, 5, 4, 10, 2, 30, tzinfo=UTC)
        found = Timing(every=300).preview(3, int(at.timestamp()) * SECOND)
        assert [moment.minute for moment in found] == [5, 10, 15]

    @given(every=st.integers(1, 10**6), at=st.integers(-(10**9), 10**9))
    def test_have_no_drift(self, every: int, at: int):
        ticks = list(islice(Timing(every=every).after(at), 5))
        assert ticks[0] > at >= ticks[0] - every * SECOND
        assert all(tick % (every * SECOND) == 0 for tick in ticks)
        assert ticks == list(range(ticks[0], ticks[-1] + 1, every * SECOND))

    def test_end_with_the_calendar(self):
        ages = Timing(every=timedelta(days=365_000))
        assert len(list(ages.after(0))) == 8


class TestTiming:
    @pytest.mark.parametrize(
        ("said", "problem"),
        [
            ({}, "give one of them"),
            ({"cron": "0 9 * * *", "every": 5}, "give one of them"),
            ({"cron": 5}, "expected a text of five fields"),
            ({"every": 0.5}, "expected at least 1 seconds"),
            ({"every": "5"}, "expected seconds or a timedelta"),
            ({"every": float("nan")}, "expected a finite number"),
            ({"every": 5, "tz": "Europe/Berlin"}, "an interval has no time zone"),
            *(
                ({"cron": "0 9 * * *", "tz": tz}, "expected a time zone's IANA name")
                for tz in ("Europe/Berln", "", "../etc/passwd", "/etc/passwd", "Europe", None, 1)
            ),
        ],
    )
    def test_what_cannot_be_is_refused(self, said: dict[str, Any], problem: str):
        with pytest.raises(InvalidScheduleError, match=problem):
            Timing(**said)

    @pytest.mark.parametrize("n", [0, 10_001, True, "1", 1.5])
    def test_a_preview_of_an_odd_number_is_refused(self, n: Any):
        with pytest.raises(InvalidScheduleError, match="expected a number from 1 to 10000"):
            MINUTES.preview(n, 0)

    def test_a_preview_is_in_its_zone(self):
        [nine] = Timing("0 9 * * *", tz="Europe/Berlin").preview(1, 0)
        assert nine.isoformat() == "1970-01-01T09:00:00+01:00"


class TestJitter:
    @given(st.text(), st.integers(0, 2**60), st.integers(0, 10**12))
    def test_is_bounded_and_the_same_for_everyone(self, name: str, tick: int, jitter: int):
        assert tick <= delayed(name, tick, jitter) <= tick + jitter
        assert delayed(name, tick, jitter) == delayed(name, tick, jitter)

    def test_is_spread(self):
        found = [delayed("report", tick, HOUR) - tick for tick in range(0, 1000 * HOUR, HOUR)]
        quarters = [sum(q * HOUR / 4 <= d < (q + 1) * HOUR / 4 for d in found) for q in range(4)]
        assert min(quarters) > 200
        assert delayed("other", 0, HOUR) != delayed("report", 0, HOUR)


JOB = NewJob("mail", '{"a": 1}', queue="mail", priority=7, timeout=5, retry='{"backoff": 1}')
UNIQUE = NewJob("mail", "{}", unique=Unique(during=60).job_key("mail", "default", "{}"))


class TestSpecs:
    @pytest.mark.parametrize(
        "spec",
        [
            ScheduleSpec(Timing("0 9 * * 1-5", tz="Europe/Berlin"), JOB),
            ScheduleSpec(Timing(every=1.5), UNIQUE, {"timeout": timedelta(seconds=3)}),
            ScheduleSpec(
                MINUTES, JOB, {"queue": "mail", "timeout": None}, Missed.all(7), Overlap.SKIP, 3
            ),
        ],
        ids=str,
    )
    def test_are_read_as_they_are_written(self, spec: ScheduleSpec):
        text = spec_to_json(spec)
        assert spec_from_json(text) == spec
        assert spec_to_json(spec) == text

    def test_equal_ones_are_equal_texts(self):
        one = ScheduleSpec(Timing(every=60), JOB, overlap="skip", jitter=timedelta(seconds=5))
        other = ScheduleSpec(
            Timing(every=timedelta(minutes=1)), JOB, overlap=Overlap.SKIP, jitter=5
        )
        assert spec_to_json(one) == spec_to_json(other)

    def test_say_what_is_not_by_default(self):
        spec = ScheduleSpec(Timing(every=60), JOB, {}, Missed.SKIP, Overlap.SKIP, 0.5)
        assert str(spec) == "every 60 s; missed skip; overlap skip; jitter 0.5 s"
        assert str(ScheduleSpec(Timing("@daily"), JOB)) == "@daily UTC"
        assert (spec.kind, spec.args) == ("mail", {"a": 1})

    @pytest.mark.parametrize(
        ("said", "problem"),
        [
            ({"missed": "once"}, "expected Missed.SKIP, Missed.ONCE or"),
            ({"overlap": "sometimes"}, "expected one of allow, skip, cancel_previous"),
            ({"jitter": -1}, "expected at least 0 seconds"),
            ({"jitter": "1"}, "expected seconds or a timedelta"),
        ],
    )
    def test_what_cannot_be_is_refused(self, said: dict[str, Any], problem: str):
        with pytest.raises(InvalidScheduleError, match=problem):
            ScheduleSpec(MINUTES, JOB, **said)

    @pytest.mark.parametrize(
        "text",
        ["", "{}", "[]", "1", "[" * 100_000, '{"cron": "x"}', spec_to_json(
            ScheduleSpec(MINUTES, JOB)).replace('"overlap"', '"unknown": 1, "overlap"')],
        ids=lambda text: text[:20],
    )  # fmt: skip
    def test_what_cannot_be_read_is_none(self, text: str):
        assert spec_from_json(text) is None
