"""A policy that somebody spoilt, or a later version wrote: its queue is strict, others go on."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from dibs import Aging, Dibs
from tests.conformance.notes import Notes
from tests.conformance.working import working
from tests.support.database import query
from tests.support.waiting import eventually

NewApp = Callable[..., Dibs]

SPOILT = (
    "garbage", "", "null", "[]", "5", '{"aging": 5}', '{"weights": {"x": 1}}',
    '{"weights": {"5": 0}}', '{"aging": {"after": 1, "new_in_2030": 2}}', '{"new_in_2030": 1}',
)  # fmt: skip


def spoil(app: Dibs, url: str, queue: str, text: str) -> None:
    app.queues.configure(queue, aging=Aging())
    query(url, f"UPDATE dibs_queues SET configured = '{text}' WHERE name = '{queue}'")


@pytest.mark.parametrize("text", SPOILT)
def test_stops_nobody(
    new_app: NewApp, database_url: str, text: str, caplog: pytest.LogCaptureFixture
):
    app = new_app()
    notes = Notes(app)
    spoil(app, database_url, "bad", text)
    jobs = [notes.wait(name, 0, queue=name) for name in ("good", "bad")]
    assert [job.args["name"] for job in app.jobs.list(state="ready")] == ["good", "bad"]
    assert app.jobs.get(jobs[1].id).effective_priority == 0
    assert app.jobs.explain(jobs[1].id).ahead == 0
    [bad] = app.queues.list()
    assert repr(text) in str(bad.policy)
    assert bad.policy.strict

    with working(app, queues=["bad", "good"]):
        eventually(lambda: len(notes.ran) == 2, "both queues")


def test_is_told_with_what_to_do(
    new_app: NewApp, database_url: str, caplog: pytest.LogCaptureFixture
):
    app = new_app()
    notes = Notes(app)
    spoil(app, database_url, "bad", "garbage")
    notes.wait("nobody takes it", 0, queue="bad")
    with working(app, queues=["bad"], priorities=(1, None)):
        found = eventually(
            lambda: [r for r in caplog.records if getattr(r, "event", "") == "policy_unreadable"],
            "the event",
        )
    assert "dibs queues configure bad" in found[0].getMessage()
    app.queues.reset("bad")
    assert app.queues.get("bad").policy.unreadable is None
