"""Looking at dead letters: lists, filters, pages, notes and reviews."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from dibs import (
    DeadFilter,
    DeadReason,
    DeadResult,
    DibsError,
    InvalidJobError,
    JobNotFoundError,
    JobStateError,
    State,
)
from tests.conformance.dying import Morgue, ids

NAIVE = datetime(2026, 5, 4, 12)  # noqa: DTZ001 - which is refused
ODD = "100% of Ärger_\\ 'here'"


class TestList:
    def test_tells_what_is_known(self, morgue: Morgue):
        [job_id] = morgue.bury("boom")
        [letter] = morgue.dead.list()
        assert letter == morgue.dead.get(job_id)
        assert (letter.job.state, letter.job.kind, letter.job.args) == (
            State.DEAD, "fail", {"message": "boom"}
        )  # fmt: skip
        assert (letter.job.attempt, letter.job.error) == (1, "boom")
        assert letter.reason is DeadReason.ATTEMPTS_EXHAUSTED
        assert letter.died_at == letter.job.finished_at
        assert (letter.reviewed_at, letter.reviewed_by, letter.notes) == (None, None, [])

    def test_comes_newest_first_page_by_page(self, morgue: Morgue):
        buried = morgue.bury_many(7)
        whole = morgue.dead.list()
        assert sorted(ids(whole)) == buried
        order = [(letter.died_at, letter.job.id) for letter in whole]
        assert order == sorted(order, reverse=True)
        first = morgue.dead.list(limit=3)
        # What was before it may go, and the letter itself too: the next page stays the same.
        morgue.dead.purge(ids(first))
        morgue.bury("newer")
        second = morgue.dead.list(limit=3, after=first[-1])
        rest = morgue.dead.list(limit=3, after=second[-1])
        assert first + second + rest == whole
        assert morgue.dead.list(after=rest[-1]) == []

    def test_is_what_jobs_of_this_state_are(self, morgue: Morgue):
        buried = morgue.bury("a", "b")
        morgue.fail.enqueue("waits")
        jobs = morgue.face.jobs.list(state=State.DEAD)
        assert [job.id for job in jobs] == morgue.ids() == buried[::-1]


class TestFilters:
    def test_each_picks_its_own(self, morgue: Morgue):
        first, odd = morgue.bury("Gateway TIMEOUT", ODD)
        [given_up] = morgue.bury("timeout too", kind="give_up")
        died = {letter.job.id: letter.died_at for letter in morgue.dead.list()}
        morgue.dead.review(odd)
        for filters, expected in (
            ({}, [given_up, odd, first]),
            ({"kind": "give_up"}, [given_up]),
            ({"queue": "default"}, [odd, first]),
            ({"reason": "gave_up"}, [given_up]),
            ({"reason": DeadReason.ATTEMPTS_EXHAUSTED}, [odd, first]),
            ({"error": "timeout"}, [given_up, first]),
            ({"error": "TimeOut", "kind": "fail"}, [first]),
            ({"error": "%"}, [odd]),
            ({"error": "_"}, [odd]),
            ({"error": "0%OF"}, []),
            ({"error": "0% oF ÄRGER_\\ 'HERE'"}, [odd]),
            ({"error": "ärger"}, []),
            ({"died_before": died[odd]}, [first]),
            ({"died_after": died[odd]}, [given_up, odd]),
            ({"died_after": died[odd], "died_before": died[given_up]}, [odd]),
            ({"reviewed": True}, [odd]),
            ({"reviewed": False}, [given_up, first]),
            ({"reviewed": None}, [given_up, odd, first]),
        ):
            assert morgue.ids(**filters) == expected, filters
            assert morgue.dead.count(**filters) == len(expected), filters

    def test_pick_the_same_for_what_changes_all(self, morgue: Morgue):
        first, odd = morgue.bury("Gateway TIMEOUT", ODD)
        [given_up] = morgue.bury("timeout too", kind="give_up")
        died = morgue.dead.get(odd).died_at
        for filters, expected in (
            ({"kind": "fail"}, [odd, first]),
            ({"error": "TIMEOUT"}, [given_up, first]),
            ({"error": "TIMEOUT", "queue": "default"}, [first]),
            ({"reason": "gave_up"}, [given_up]),
            ({"died_before": died}, [first]),
            ({"died_after": died}, [given_up, odd]),
        ):
            assert morgue.dead.review_all(**filters).done == len(expected), filters
            assert morgue.ids(reviewed=True) == expected, filters
            assert morgue.dead.review_all(reviewed=False).done == 3 - len(expected)
            assert morgue.dead.unreview([first, odd, given_up]).done == 3

    def test_pick_by_every_reason(self, morgue: Morgue):
        buried = {reason: morgue.bury_for(reason) for reason in DeadReason}
        assert buried[DeadReason.UPSTREAM_FAILED]
        explained = set()
        for reason, job_id in buried.items():
            [letter] = morgue.dead.list(reason=str(reason))
            assert (letter.job.id, letter.reason) == (job_id, reason)
            explained.add(str(morgue.face.jobs.explain(job_id)).partition(" because ")[2])
            assert morgue.dead.replay_all(reason=reason) == DeadResult(1)
            assert morgue.face.jobs.get(job_id).state is State.READY
        assert len(explained) == len(DeadReason), "each is explained in its own words"
        assert morgue.dead.count() == 0

    @pytest.mark.parametrize(
        ("filters", "error", "says"),
        [
            ({"kinds": "fail"}, DibsError, "unknown filter 'kinds': expected one of kind, queue"),
            ({"kind": ""}, InvalidJobError, "kind=''"),
            ({"queue": " mail"}, InvalidJobError, "queue=' mail'"),
            ({"reason": "bored"}, DibsError, "reason='bored': expected one of attempts_exhausted"),
            ({"error": ""}, DibsError, "error='': expected text"),
            ({"error": "a\0b"}, DibsError, "without null characters"),
            ({"error": "\udc80"}, DibsError, "surrogates"),
            (
                {"died_before": NAIVE},
                InvalidJobError,
                "died_before=2026-05-04T12:00:00 has no time",
            ),
            ({"died_after": "today"}, InvalidJobError, "died_after='today'"),
            ({"reviewed": "yes"}, DibsError, "reviewed='yes': expected True, False or None"),
        ],
    )
    def test_that_cannot_be(
        self, morgue: Morgue, filters: dict[str, Any], error: type[Exception], says: str
    ):
        for method in ("list", "count", "review_all", "replay_all", "purge_all"):
            with pytest.raises(error) as raised:
                getattr(morgue.dead, method)(**filters)
            assert says in str(raised.value)

    @pytest.mark.parametrize("options", [{"limit": 0}, {"limit": 10_001}, {"after": 3}])
    def test_pages_that_cannot_be(self, morgue: Morgue, options: dict[str, Any]):
        [name] = options
        with pytest.raises(DibsError, match=f"^{name}="):
            morgue.dead.list(**options)

    def test_are_values(self):
        noon = datetime(2026, 5, 4, 12, tzinfo=UTC)
        chosen = DeadFilter(reason="gave_up", died_after=noon)
        assert chosen == DeadFilter(reason=DeadReason.GAVE_UP, died_after=noon)
        assert chosen != DeadFilter(died_after=noon + timedelta(seconds=1))
        assert DeadFilter().empty
        assert not DeadFilter(reviewed=False).empty


class TestGet:
    def test_refuses_what_is_not_dead(self, morgue: Morgue):
        job = morgue.fail.enqueue("waits")
        for act in (morgue.dead.get, lambda id_: morgue.dead.annotate(id_, "hm")):
            with pytest.raises(JobStateError, match=f"job {job.id}: it is ready; this needs a job"):
                act(job.id)
            for unknown in (job.id + 1, 0, -1, 2**70):
                with pytest.raises(JobNotFoundError):
                    act(unknown)
            with pytest.raises(DibsError, match="job id '1': expected an integer"):
                act("1")


class TestNotes:
    def test_are_kept_in_order(self, morgue: Morgue):
        first, other = morgue.bury("boom", "bang")
        before = morgue.dead.annotate(first, "the gateway\nwas down", author="Ärzte & Co")
        letter = morgue.dead.annotate(first, "refunded")
        assert letter == morgue.dead.get(first)
        assert before.notes == letter.notes[:1]
        assert [(note.author, note.text) for note in letter.notes] == [
            ("Ärzte & Co", "the gateway\nwas down"), (None, "refunded")
        ]  # fmt: skip
        assert letter.died_at <= letter.notes[0].at <= letter.notes[1].at
        assert morgue.dead.get(other).notes == []

    @pytest.mark.parametrize("text", ["", " \n", 7, None, "a\0b", "\ud800", "x" * 10_001])
    def test_that_cannot_be(self, morgue: Morgue, text: Any):
        [job_id] = morgue.bury("boom")
        with pytest.raises(DibsError, match=r"^note"):
            morgue.dead.annotate(job_id, text)
        if text is not None:
            with pytest.raises(DibsError, match=r"^author"):
                morgue.dead.annotate(job_id, "hm", author=text)
            with pytest.raises(DibsError, match=r"^author"):
                morgue.dead.review(job_id, author=text)
        assert morgue.dead.get(job_id).notes == []


class TestReview:
    def test_one_and_back(self, morgue: Morgue):
        [job_id] = morgue.bury("boom")
        assert morgue.dead.review(job_id, author="ann", note="known") == DeadResult(1)
        letter = morgue.dead.get(job_id)
        assert letter.reviewed_at is not None
        assert letter.reviewed_at >= letter.died_at
        assert letter.reviewed_by == "ann"
        assert [(note.author, note.text) for note in letter.notes] == [("ann", "known")]
        assert morgue.dead.unreview(job_id) == DeadResult(1)
        again = morgue.dead.get(job_id)
        assert (again.reviewed_at, again.reviewed_by) == (None, None)
        assert again.notes == letter.notes

    def test_several_tells_of_those_it_could_not(self, morgue: Morgue):
        a, b = morgue.bury("a", "b")
        waiting = morgue.fail.enqueue("waits").id
        result = morgue.dead.review([a, waiting, b, 0, 999, a])
        assert result.done == 2
        assert {one.job_id: type(one.error) for one in result.refused} == {
            0: JobNotFoundError, waiting: JobStateError, 999: JobNotFoundError
        }  # fmt: skip
        assert f"cannot review job {waiting}: it is ready" in " ".join(map(str, result.refused))
        assert morgue.dead.count(reviewed=True) == 2

    def test_one_that_cannot_be_raises(self, morgue: Morgue):
        waiting = morgue.fail.enqueue("waits").id
        for act in (morgue.dead.review, morgue.dead.unreview, morgue.dead.purge):
            with pytest.raises(JobStateError):
                act(waiting)
            with pytest.raises(JobNotFoundError):
                act(waiting + 1)
            with pytest.raises(DibsError, match="job id 'x'"):
                act(["x"])

    def test_none(self, morgue: Morgue):
        assert morgue.dead.review([]) == DeadResult(0)
