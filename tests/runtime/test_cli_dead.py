"""`dibs dead`: what people and programs see of dead letters, and what is asked and refused."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from dibs import Dibs, State
from tests.support.command import Folder

Enqueue = Callable[..., int]
Bury = Callable[..., list[int]]
WHICH = "which dead letters? give their IDs, or --all"


def words(text: str) -> list[str]:
    return [" ".join(line.split()) for line in text.splitlines() if line.strip()]


@pytest.fixture
def bury(shop: Folder, enqueue: Enqueue) -> Bury:
    """Have jobs of the shop die, one for each message."""

    def bury(*messages: str) -> list[int]:
        ids = [enqueue("fail", message, max_attempts=1) for message in messages]
        assert shop.shop("worker", "--until-idle", "--concurrency", 1).code == 0
        return ids

    return bury


class TestLooking:
    def test_for_people(self, shop: Folder, bury: Bury):
        first, second = bury("gateway timeout", "no such order")
        listed = words(shop.shop("dead", "list").out)
        assert listed[0] == "id died at reason kind queue attempt reviewed notes error"
        assert [line.split()[0] for line in listed[2:]] == [str(second), str(first)]
        assert listed[2].endswith("attempts_exhausted fail default 1/1 0 no such order")
        said = shop.shop("dead", "list", "--limit", 1)
        assert said.err == f"The first 1; --after {second} shows the next.\n"
        behind = words(shop.shop("dead", "list", "--after", second).out)
        assert [line.split()[0] for line in behind[2:]] == [str(first)]
        assert shop.shop("dead", "count").out == "2\n"
        assert shop.shop("dead", "count", "--error", "TIMEOUT", "--unreviewed").out == "1\n"
        assert shop.shop("dead", "count", "--reason", "upstream_failed").out == "0\n"
        assert shop.shop("dead", "count", "--died-before", "2020-01-01T00:00:00Z").out == "0\n"

    def test_one_with_all_that_is_known(self, shop: Folder, bury: Bury):
        [job_id] = bury("boom")
        said = shop.shop("dead", "annotate", job_id, "known\nproblem", "--author", "ann")
        assert (said.code, said.out) == (0, f"annotated: {job_id}\n")
        said = shop.shop("dead", "review", job_id, "--author", "bob", "--note", "refunded")
        assert (said.code, said.out) == (0, "reviewed: 1\n")
        shown = words(shop.shop("dead", "show", job_id).out)
        assert "reason attempts_exhausted" in shown
        assert "reviewed by bob" in shown
        assert [line for line in shown if line.startswith("died at 2")]
        note = next(n for n, line in enumerate(shown) if line.startswith("note ann, 2"))
        assert shown[note + 1 : note + 3] == ["known", "problem"]
        assert shown[-1] == "ValueError: boom"
        shown = words(shop.shop("jobs", "show", job_id).out)
        assert f"more dibs dead show {job_id}" in shown

    def test_for_programs(self, shop: Folder, bury: Bury):
        [job_id] = bury("boom")
        letter = shop.shop("dead", "annotate", job_id, "hm", "--json").document
        assert [note["text"] for note in letter["notes"]] == ["hm"]
        assert shop.shop("dead", "list", "--json").document == [letter]
        shown = shop.shop("dead", "show", job_id, "--json").document
        assert [one["error"] for one in shown.pop("attempts")] == ["boom"]
        assert shown == letter
        assert (letter["job"]["id"], letter["reason"]) == (job_id, "attempts_exhausted")
        assert shop.shop("dead", "count", "--json").document == {"count": 1}


class TestChanging:
    def test_reviews_and_takes_it_back(self, shop: Folder, app: Dibs, bury: Bury):
        a, b = bury("one timeout", "other")
        said = shop.shop("dead", "review", "--all", "--error", "timeout", "--json")
        assert said.document == {"reviewed": 1, "refused": []}
        assert app.dead.get(a).reviewed_at is not None
        assert shop.shop("dead", "review", a, b, "--undo").out == "unreviewed: 2\n"
        assert app.dead.count(reviewed=True) == 0

    def test_replays(self, shop: Folder, app: Dibs, bury: Bury):
        a, b, c, d = bury("a", "b", "c", "d")
        assert shop.shop("dead", "replay", a, "--args", '{"message": "A"}').out == "replayed: 1\n"
        assert app.jobs.get(a).args == {"message": "A"}
        assert shop.shop("dead", "replay", b).out == "replayed: 1\n"
        said = shop.shop("dead", "replay", "--all", "--kind", "fail", "--per-minute", 1)
        assert (said.code, said.out) == (0, "replayed: 2\n")
        assert {app.jobs.get(c).state, app.jobs.get(d).state} == {State.READY, State.SCHEDULED}
        assert shop.shop("dead", "replay", "--all").out == "replayed: 0\n"

    def test_tells_which_could_not_be(self, shop: Folder, app: Dibs, bury: Bury):
        [job_id] = bury("boom")
        said = shop.shop("dead", "replay", job_id, 999)
        assert said.out == "replayed: 1\n"
        assert "no job has the id 999" in said.refused()
        said = shop.shop("dead", "purge", job_id, 999, "--yes", "--json")
        problem = f"cannot purge job {job_id}: it is ready; this needs a job that is dead"
        assert problem in said.refused()
        assert problem in said.out
        assert app.jobs.get(job_id).state is State.READY

    def test_edited_args_are_checked(self, shop: Folder, app: Dibs, bury: Bury):
        [job_id] = bury("boom")
        replay = ("dead", "replay", job_id, "--args", '{"message": 1}')
        said = shop.shop(*replay)
        assert "args of 'fail': message: Input should be a valid string" in said.refused()
        said = shop.run("--url", shop.url, *replay)
        assert "unknown kind 'fail'; registered kinds: none" in said.refused()
        assert app.dead.get(job_id).job.args == {"message": "boom"}


class TestPurge:
    def test_of_one_needs_no_question(self, shop: Folder, app: Dibs, bury: Bury):
        [job_id] = bury("boom")
        assert shop.shop("dead", "purge", job_id).out == "purged: 1\n"
        assert app.dead.count() == 0

    def test_of_many_has_to_be_meant(self, shop: Folder, app: Dibs, bury: Bury):
        ids = bury("a", "b")
        for chosen in (ids, ["--all"], ["--all", "--kind", "fail"]):
            assert "Remove 2 dead letters for good?" in shop.shop("dead", "purge", *chosen).refused(
                2
            )
        assert app.dead.count() == 2
        assert shop.shop("dead", "purge", "--all", "--yes").out == "purged: 2\n"
        assert app.dead.count() == 0

    @pytest.mark.parametrize(("answer", "left"), [(b"y\n", 0), (b"n\n", 2)])
    def test_asks_on_a_terminal(
        self, shop: Folder, app: Dibs, bury: Bury, answer: bytes, left: int
    ):
        bury("a", "b")
        command = ("--app", "shop:app", "dead", "purge", "--all")
        with shop.start(*command, terminal=True) as running:
            running.type(answer)
            ended = running.ended()
        assert ended.code == (1 if left else 0)
        assert "Remove 2 dead letters for good? [y/N]" in ended.err
        assert app.dead.count() == left

    def test_shows_how_far_it_is_on_a_terminal(self, shop: Folder, bury: Bury):
        bury("a", "b")
        command = ("--app", "shop:app", "dead", "purge", "--all", "--yes")
        with shop.start(*command, terminal=True, screen=True) as running:
            ended = running.ended()
        assert "Purging" in ended.err
        assert ended.out == "purged: 2\n"


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (["review"], WHICH),
        (["replay", "--kind", "fail"], WHICH),
        (["purge", "--reviewed"], WHICH),
        (["purge", 1, "--all"], "give IDs, or --all with filters, not both"),
        (["replay", 1, "--kind", "fail"], "give IDs, or --all with filters, not both"),
        (["review", "--all", "--undo"], "--undo takes the IDs alone"),
        (["review", 1, "--undo", "--author", "ann"], "--undo takes the IDs alone"),
        (["replay", 1, 2, "--args", "{}"], "--args is for one dead letter"),
        (["replay", "--all", "--args", "{}"], "--args is for one dead letter"),
        (["replay", 1, "--args", "[]"], "expected a JSON object of args by name"),
        (["replay", 1, "--per-minute", 0], "0 is not in the range"),
        (["list", "--reason", "bored"], "'bored' is not one of 'attempts_exhausted'"),
        (["list", "--died-after", "2030-01-01T00:00:00"], "has no time zone"),
        (["count", "--limit", 3], "No such option"),
        (["show", "x"], "'x' is not a whole number"),
    ],
)
def test_bad_usage(folder: Folder, arguments: list[Any], says: str):
    ended = folder.shop("dead", *arguments)
    assert says in ended.refused(2)
    assert ended.out == ""


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (["show", 1], "no job has the id 1"),
        (["list", "--after", 1], "no job has the id 1"),
        (["list", "--error", ""], "error='': expected text that is not empty"),
        (["annotate", 1, " "], "note=' ': expected text"),
        (["list", "--kind", " fail"], "kind=' fail': expected a name"),
    ],
)
def test_what_cannot_be_done(folder: Folder, arguments: list[Any], says: str):
    assert says in folder.shop("dead", *arguments).refused(1)
