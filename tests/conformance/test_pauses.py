"""Paused queues and kinds: no job of them starts, all else goes on, and they end by themselves."""

from __future__ import annotations

import threading
from collections.abc import Callable
from datetime import timedelta
from typing import Any

import pytest

from dibs import Dibs, InvalidJobError, Job, Kind, Pause, Queue, QueuePolicy, State
from dibs.model.lines import Serving
from dibs.store.ops.workers import watch_probe
from tests.conformance.conftest import OpenFace
from tests.conformance.face import Face
from tests.conformance.notes import TEN, Clock
from tests.conformance.working import logged, working
from tests.support.waiting import WITHIN, eventually

WHAT = ["queues", "kinds"]
STRICT = QueuePolicy()
WHY = {"reason": "the relay is down", "author": "ann"}


class Desk:
    """Two kinds in one queue, and what was called, at a time that a test may move."""

    def __init__(self, face: Face, clock: Clock) -> None:
        self.face, self.clock = face, clock
        self.called: list[str] = []
        self.mail = face.handler(self._note, kind="mail", queue="post")
        self.fax = face.handler(self._note, kind="fax", queue="post")

    async def _note(self, text: str) -> None:
        self.called.append(text)

    def paused(self, what: str) -> Any:
        """Return where `mail` is paused, and under which name."""
        return getattr(self.face, what), {"queues": "post", "kinds": "mail"}[what]

    def pause(self, what: str, **options: Any) -> Any:
        desk, name = self.paused(what)
        return desk.pause(name, **options)

    def resume(self, what: str) -> Any:
        desk, name = self.paused(what)
        return desk.resume(name)

    def order(self, **options: Any) -> list[str]:
        """Run what is due, one after the other, and return what was called since the last time."""
        self.called.clear()
        self.face.work(concurrency=1, **options)
        return list(self.called)


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def face(new_face: OpenFace, clock: Clock) -> Face:
    return new_face(clock=clock)


@pytest.fixture
def desk(face: Face, clock: Clock) -> Desk:
    return Desk(face, clock)


@pytest.mark.parametrize("what", WHAT)
class TestBoth:
    def test_no_job_starts_until_somebody_resumes(self, desk: Desk, what: str):
        first = desk.mail.enqueue("a")
        desk.pause(what, **WHY)
        second = desk.mail.enqueue("b")
        assert desk.order() == []
        found = [desk.face.jobs.get(job.id) for job in (first, second)]
        waits = State.READY if what == "queues" else State.BLOCKED
        assert [(job.state, job.attempt) for job in found] == [(waits, 0)] * 2
        assert desk.face.rows() == (2, 2)
        desk.resume(what)
        assert desk.order() == ["a", "b"]

    def test_ends_by_itself(self, desk: Desk, what: str):
        desk.mail.enqueue("a")
        desk.pause(what, until=TEN + timedelta(minutes=1))
        desk.clock.move(59)
        assert desk.order() == []
        desk.clock.move(1)
        assert desk.order() == ["a"]

    def test_lasts_so_long(self, desk: Desk, what: str):
        desk.mail.enqueue("a")
        found = desk.pause(what, lasting=timedelta(minutes=1), **WHY)
        assert found.paused == Pause(TEN, TEN + timedelta(minutes=1), "ann", "the relay is down")
        desk.clock.move(59.999)
        assert desk.order() == []
        desk.clock.move(0.001)
        assert desk.order() == ["a"]

    def test_what_runs_goes_on(self, desk: Desk, what: str):
        pause = getattr(desk.face.target, what).pause
        _, name = desk.paused(what)

        def close(text: str) -> None:
            pause(name)
            desk.called.append(text)

        if what == "kinds":
            pause = desk.face.target.kinds.pause
            name = "close"
        closing = desk.face.handler(close, queue="post")
        last = [closing.enqueue(text) for text in ("a", "b")][1]
        assert desk.order() == ["a"]
        assert desk.face.jobs.get(last.id).attempt == 0

    def test_pausing_again_says_anew_why_and_until_when(self, desk: Desk, what: str):
        first = desk.pause(what, lasting=60, **WHY)
        desk.clock.move(30)
        again = desk.pause(what, reason="for good")
        assert (first.paused.since, again.paused) == (TEN, Pause(TEN, None, None, "for good"))
        third = desk.pause(what, until=desk.clock.now + timedelta(seconds=1))
        assert third.paused.since == TEN
        desk.clock.move(1)
        assert desk.pause(what).paused.since == desk.clock.now

    def test_until_a_moment_that_is_over_is_none(self, desk: Desk, what: str):
        assert desk.pause(what, until=TEN).paused is None
        desk.mail.enqueue("a")
        assert desk.order() == ["a"]

    def test_resuming_what_is_not_paused_changes_nothing(self, desk: Desk, what: str):
        assert desk.resume(what).paused is None
        desk, name = desk.paused(what)
        assert (desk.get(name).paused, desk.list()) == (None, [])

    def test_is_kept_apart_from_the_other(self, desk: Desk, what: str):
        _, name = desk.paused(what)
        other = {"queues": "kinds", "kinds": "queues"}[what]
        getattr(desk.face, other).pause(name)
        desk.mail.enqueue("a")
        assert desk.order() == ["a"]

    def test_of_any_name_and_with_any_words(self, desk: Desk, what: str):
        place = getattr(desk.face, what)
        names = sorted(["mail", "grüße", "a=3", "x" * 200, "'; --"])
        for name in names:
            place.pause(name, reason="it's\n'down' %s", author=name)
        assert [(one.name, one.paused.author) for one in place.list()] == [(n, n) for n in names]
        assert {place.get(name).paused.reason for name in names} == {"it's\n'down' %s"}

    def test_bad_values_are_refused_before_anything_is_opened(self, new_face: OpenFace, what: str):
        nowhere = getattr(new_face("postgresql://nobody@127.0.0.1:1/nowhere"), what)
        with pytest.raises(InvalidJobError, match=r"until=.* has no time zone"):
            nowhere.pause("mail", until=TEN.replace(tzinfo=None))
        for method in (nowhere.pause, nowhere.resume, nowhere.get):
            with pytest.raises(InvalidJobError, match="without blanks"):
                method(" mail")


class TestAQueue:
    def test_is_shown_with_its_policy(self, desk: Desk):
        queue = desk.pause("queues", **WHY)
        pause = Pause(TEN, None, "ann", "the relay is down")
        assert queue == Queue("post", STRICT, None, None, None, pause)
        assert str(pause) == "since 2026-05-04 10:00:00Z, by ann: the relay is down"
        changed = desk.face.queues.configure("post", timeout=5)
        assert (changed.paused, changed.policy) == (pause, QueuePolicy(timeout=5))
        desk.face.queues.configure("other")
        desk.face.queues.pause("a")
        listed = {one.name: one.paused for one in desk.face.queues.list()}
        assert list(listed.items()) == [("a", Pause(TEN, None, None, None)), ("other", None),
                                        ("post", pause)]  # fmt: skip
        assert desk.face.queues.get("post") == changed
        shown = {group.name: group.paused for group in desk.face.stats().queues}
        assert shown == {"a": listed["a"], "post": pause}
        desk.clock.move(1)
        assert desk.resume("queues").paused is None
        assert desk.face.queues.get("post").policy == QueuePolicy(timeout=5)

    def test_its_jobs_are_listed_in_their_order(self, desk: Desk):
        for text, priority in (("a", 0), ("b", 5)):
            desk.mail.using(priority=priority).enqueue(text)
        desk.pause("queues")
        jobs: list[Job] = desk.face.jobs.list(state="ready")
        assert [job.args["text"] for job in jobs] == ["b", "a"]
        assert [line.ready for line in desk.face.stats().lines] == [1, 1]

    def test_its_turns_go_to_the_others(self, desk: Desk):
        for text in ("a", "b", "c"):
            desk.mail.enqueue(text)
            desk.fax.using(queue="other").enqueue(text.upper())
        desk.pause("queues")
        assert desk.order(queues={"post": 5, "other": 1}) == ["A", "B", "C"]

    def test_what_is_due_becomes_ready_and_waits(self, desk: Desk):
        desk.pause("queues")
        job = desk.mail.using(delay=10).enqueue("a")
        desk.clock.move(10)
        assert desk.order() == []
        assert desk.face.jobs.get(job.id).state is State.READY

    def test_wakes_no_worker_of_a_file(self, sqlite_url: str):
        app = Dibs(sqlite_url)
        app.job(lambda: None, kind="mail", queue="post").enqueue()
        serving = Serving(("post", "empty"))
        assert app.store.run(watch_probe(serving)) == (True, None)
        app.queues.pause("post")
        assert app.store.run(watch_probe(serving)) == (False, None)
        app.queues.pause("post", lasting=0.001)
        eventually(lambda: app.store.run(watch_probe(serving))[0], "the end of the pause")
        app.close()


class TestAKind:
    def test_holds_up_no_other(self, desk: Desk, caplog: pytest.LogCaptureFixture):
        jobs = desk.face.enqueue_many([desk.mail.request(f"mail {n}") for n in range(40)])
        desk.fax.enqueue("fax")
        desk.pause("kinds")
        assert desk.order() == ["fax"]
        assert logged(caplog, "kind_unknown") == []
        assert desk.face.jobs.get(jobs[0]).reason == "kind:mail"
        desk.resume("kinds")
        assert desk.order() == [f"mail {n}" for n in range(40)]

    def test_is_shown(self, desk: Desk):
        assert desk.face.kinds.list() == []
        kind = desk.pause("kinds", **WHY)
        assert kind == Kind("mail", Pause(TEN, None, "ann", "the relay is down"))
        assert desk.face.kinds.get("mail") == kind
        assert desk.face.kinds.list() == [kind]
        assert [(g.name, g.paused) for g in desk.face.stats().kinds] == [("mail", kind.paused)]

    def test_is_paused_in_every_queue(self, desk: Desk):
        desk.pause("kinds")
        desk.mail.using(queue="other").enqueue("a")
        desk.mail.enqueue("b")
        assert desk.order(queues=["post", "other"]) == []


@pytest.mark.parametrize("what", WHAT)
@pytest.mark.parametrize("how", ["somebody resumes it", "its time is over"])
def test_workers_that_run_follow_within_a_second(new_app: Callable[..., Dibs], what: str, how: str):
    app, ran = new_app(), threading.Event()
    mail = app.job(ran.set, kind="mail", queue="post")
    place: Any = getattr(app, what)
    name = {"queues": "post", "kinds": "mail"}[what]
    place.pause(name)
    with working(app, poll=60) as worker:  # by looking alone it would take a minute
        assert worker.started.wait(WITHIN)
        job = mail.enqueue()
        aside = State.READY if what == "queues" else State.BLOCKED
        eventually(lambda: app.jobs.get(job.id).state is aside, "the job to be seen")
        if how == "somebody resumes it":
            place.resume(name)
        else:
            place.pause(name, lasting=0.01)
        assert ran.wait(WITHIN)
