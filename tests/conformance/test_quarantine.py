"""What is recorded of attempts whose workers died."""

from __future__ import annotations

from dibs import AttemptOutcome, DeadReason, State
from dibs.model.lines import Demand, Serving
from dibs.store.ops.claim import job_claim
from dibs.store.ops.workers import job_rescue, worker_beat
from tests.conformance.face import Face

CRASHES = 3
LEASE = 30_000_000


def test_every_crash_is_recorded_and_the_last_one_buries(face: Face):
    serving = Serving(("default",))
    job = face.target.job(lambda: None, kind="poison", max_attempts=1).enqueue()
    for number in range(1, CRASHES + 1):
        worker = f"the late {number}"
        found = face.store.run(job_claim(worker, serving, ["poison"], Demand(1)))
        assert [claimed.id for claimed in found.jobs] == [job.id]
        face.store.run(worker_beat("w", serving, [], 1, {}, LEASE))
        face.store.run(job_rescue(CRASHES, LEASE))
        seen = face.jobs.get(job.id)
        assert (seen.attempt, seen.crashes) == (0, number)
        assert seen.state is (State.DEAD if number == CRASHES else State.READY)
    assert seen.reason == DeadReason.WORKER_DIED
    records = face.jobs.attempts(job.id)
    assert [(record.outcome, record.worker, record.attempt) for record in records] == [
        (AttemptOutcome.CRASHED, f"the late {number}", 1) for number in range(1, CRASHES + 1)
    ]
    assert all(record.started_at <= record.finished_at for record in records)
    assert [record.error for record in records][
        -1
    ] == f"its worker died {CRASHES} times while running it"
