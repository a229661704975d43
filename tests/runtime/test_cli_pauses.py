"""`dibs queues pause` and `dibs kinds pause`, `dibs jobs reschedule`, and options of retention."""

from __future__ import annotations

import json
from datetime import timedelta

import pytest

from dibs import Dibs, Retention
from tests.support.command import Folder

WHAT = {"queues": "mail", "kinds": "send_mail"}


@pytest.mark.parametrize("what", WHAT)
class TestPauses:
    def test_for_people(self, folder: Folder, what: str):
        name, one = WHAT[what], what[:-1]
        said = folder.shop(what, "pause", name, "--reason", "it's\ndown", "--author", "ann")
        assert (said.code, said.err) == (0, "")
        assert said.out.startswith(f"{one} {name}: paused since 2")
        assert said.out.endswith("Z, by ann: it's down\n")
        listed = folder.shop(what, "list").out
        assert "by ann: it's down" in listed
        assert "by ann: it's down" in folder.shop("stats").out
        assert folder.shop(what, "resume", name).out == f"{one} {name}: not paused\n"
        nothing = {"queues": "every queue is strict", "kinds": "no kind is paused\n"}[what]
        assert folder.shop(what, "list").out.startswith(nothing)

    def test_for_programs(self, shop: Folder, app: Dibs, what: str):
        name = WHAT[what]
        found = shop.shop(what, "pause", name, "--until", "2090-01-31T08:00:00Z", "--json").document
        assert found["name"] == name
        assert found["paused"]["until"] == "2090-01-31T08:00:00+00:00"
        assert found["paused"]["author"] is found["paused"]["reason"] is None
        assert shop.shop(what, "list", "--json").document == [found]
        shop.shop(what, "pause", name, "--for", "60")
        pause = getattr(app, what).get(name).paused
        assert timedelta(0) < pause.until - pause.since <= timedelta(seconds=70)
        assert shop.shop(what, "resume", name, "--json").document["paused"] is None

    def test_with_two_ends(self, folder: Folder, what: str):
        ends = ("--until", "2090-01-31T08:00:00Z", "--for", "60")
        said = folder.shop(what, "pause", "x", *ends)
        assert said.code == 2
        assert "--until and --for both say when the pause ends: give one of them" in said.err


class TestReschedule:
    def test_for_people_and_programs(self, shop: Folder, app: Dibs):
        job = shop.shop("enqueue", "note", '{"word": "a"}', "--delay", 3600, "--json").document
        moved = shop.shop("jobs", "reschedule", job["id"], "--delay", 0)
        assert (moved.code, moved.out) == (0, f"rescheduled: {job['id']}\n")
        assert app.jobs.get(job["id"]).state == "ready"
        when = "2090-01-31T08:00:00Z"
        ids = (job["id"], 4711)
        said = shop.shop("jobs", "reschedule", *ids, "--scheduled-at", when, "--json")
        assert "no job has the id 4711" in said.refused(1)
        found = json.loads(said.out)
        assert [one["scheduled_at"] for one in found["rescheduled"]] == [
            "2090-01-31T08:00:00+00:00"
        ]
        assert [one["id"] for one in found["refused"]] == [4711]

    @pytest.mark.parametrize("when", [(), ("--delay", 1, "--scheduled-at", "2090-01-31T08:00:00Z")])
    def test_needs_one_time(self, folder: Folder, when: tuple[object, ...]):
        said = folder.shop("jobs", "reschedule", 1, *when)
        assert (said.code, "give --delay or --scheduled-at" in said.err) == (2, True)


def test_a_queue_keeps_what_it_is_told_to(shop: Folder, app: Dibs):
    shop.shop(
        "queues", "configure", "mail", "--keep-completed", 3600, "--keep-cancelled", "ever",
        "--keep-dead", 60, "--max-completed", 10, "--max-dead", 0,
    )  # fmt: skip
    assert app.queues.get("mail").policy.retention == Retention(
        completed=3600, cancelled=None, dead=60, max_completed=10, max_dead=0
    )
    said = shop.shop("queues", "configure", "mail", "--keep-completed", "never")
    assert (said.code, "expected seconds" in said.err) == (2, True)
