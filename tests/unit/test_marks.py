"""Where a claim reads: marks, forgotten again and again so that nothing below waits long; depth."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from dibs.model.lines import Turn
from dibs.model.marks import MANY, MOST, SWEEP_SECONDS, TOLD_SECONDS, Mark, Marks, heads_of


def turn(priority: int, scheduled_at: int, job_id: int, queue: str = "mail") -> Turn:
    return Turn(-priority, scheduled_at, job_id, queue, priority)


def used(now: float = 100.0) -> Marks:
    """Return marks whose worker has just read the front and taken a job there."""
    marks = Marks()
    marks.use(now)
    marks.note([turn(0, 50, 7)], dry=False)
    return marks


def test_the_first_look_is_at_the_front():
    assert Marks().use(100.0) == []


def test_the_next_one_begins_where_the_last_job_was_taken():
    marks = Marks()
    marks.use(100.0)
    marks.note([turn(10, 1, 1), turn(10, 2, 4), turn(0, 1, 2), turn(10, 3, 3)], dry=False)
    assert sorted(marks.use(100.0)) == [Mark("mail", 0, 1, 2), Mark("mail", 10, 3, 3)]


def test_lines_of_two_queues_are_told_apart():
    marks = used()
    marks.note([turn(0, 60, 8, "web")], dry=False)
    assert sorted(marks.use(100.0)) == [Mark("mail", 0, 50, 7), Mark("web", 0, 60, 8)]


def test_a_mark_follows_what_aged():
    """By the line, not by the effective priority."""
    marks = Marks()
    marks.use(100.0)
    marks.note([Turn(-20, 5, 9, "mail", 0)], dry=False)
    assert marks.use(100.0) == [Mark("mail", 0, 5, 9)]


def test_the_front_is_read_anew_after_a_while():
    marks = used(100.0)
    assert marks.use(100.0 + SWEEP_SECONDS * 0.9) != []
    assert marks.use(100.0 + SWEEP_SECONDS) == []


def test_what_is_taken_meanwhile_puts_that_off_no_further():
    marks = used(100.0)
    for n in range(1, 10):
        marks.use(100.0 + SWEEP_SECONDS * n / 10)
        marks.note([turn(0, 50 + n, 7 + n)], dry=False)
    assert marks.use(100.0 + SWEEP_SECONDS) == []


def test_sooner_where_somebody_told_of_something_new():
    marks = used(100.0)
    marks.tell()
    assert marks.use(100.0 + TOLD_SECONDS * 0.9) != []
    assert marks.use(100.0 + TOLD_SECONDS * 1.1) == []
    marks.note([turn(0, 60, 8)], dry=False)
    assert marks.use(100.0 + TOLD_SECONDS * 2.5) != []  # one look for what was told once


def test_what_is_told_after_a_look_still_counts_for_the_next():
    marks = used(100.0)
    marks.use(100.0 + SWEEP_SECONDS)
    marks.tell()
    marks.note([turn(0, 60, 8)], dry=False)
    assert marks.use(100.0 + SWEEP_SECONDS + TOLD_SECONDS * 1.1) == []


def test_at_once_where_the_lines_ran_dry():
    marks = used()
    marks.note([turn(0, 60, 8)], dry=True)
    assert marks.use(100.0) == []


def test_too_many_lines_are_read_from_the_front():
    marks = Marks()
    marks.use(100.0)
    marks.note([turn(priority, 1, 1) for priority in range(MOST)], dry=False)
    assert len(marks.use(100.0)) == MOST
    marks.note([turn(MOST, 1, 1)], dry=False)
    assert marks.use(100.0) == []


steps = st.tuples(
    st.floats(0, SWEEP_SECONDS * 1.2),
    st.lists(st.tuples(st.sampled_from([0, 5, 10]), st.integers(1, 9)), max_size=4),
    st.booleans(),
    st.booleans(),
)


@given(st.lists(steps, max_size=40))
def test_no_longer_than_one_sweep_from_front_to_front(
    history: list[tuple[float, list[tuple[int, int]], bool, bool]],
):
    """And whatever mark there is was the last to be taken from its line."""
    marks, now, looked, told = Marks(), 0.0, 0.0, False
    last: dict[int, Mark] = {}
    for pause, taken, dry, tells in history:
        now += pause
        found = marks.use(now)
        if found:
            assert now - looked < (TOLD_SECONDS if told else SWEEP_SECONDS)
            assert set(found) <= set(last.values())
        else:
            looked, told = now, False
            last.clear()
        turns = [turn(priority, int(now * 1e6), job_id) for priority, job_id in taken]
        marks.note(turns, dry=dry)
        for one in turns:
            last[one.priority] = Mark("mail", one.priority, one.scheduled_at, one.job_id)
        if tells:
            marks.tell()
            told = True


class TestWhatRanDry:
    def test_is_to_be_looked_at_again_if_it_was_read_from_a_mark(self):
        marks = used()
        assert marks.use(100.0) != []
        assert marks.note([], dry=True)
        assert marks.use(100.0) == []
        assert not marks.note([], dry=True)

    def test_is_not_if_it_was_read_from_the_front(self):
        marks = Marks()
        marks.use(100.0)
        assert not marks.note([turn(0, 50, 7)], dry=True)

    def test_says_nothing_of_lines_that_nobody_wanted(self):
        marks = used()
        assert not marks.note([turn(0, 60, 8), turn(10, 1, 9)], dry=True, lowest=10)
        assert marks.use(100.0) == [Mark("mail", 0, 60, 8)]


@given(count=st.integers(1, 1000), lines=st.integers(0, 5000))
def test_a_claim_reads_less_of_each_of_many_lines(count: int, lines: int):
    heads = heads_of(count, lines)
    assert 1 <= heads <= count
    assert heads == count or lines > MANY
    assert heads * max(lines, 1) >= count, "all lines alike have enough together"
    if lines > MANY:
        assert heads <= 4 or heads * lines <= 4 * count, "little of it in vain"
