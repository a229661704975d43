"""Have jobs die, and hand unique keys to them, for tests of dead letters."""

from __future__ import annotations

from dibs import DeadLetter, DeadReason, GiveUp
from dibs.model.lifecycle import Bury, Failed
from dibs.model.lines import Demand, Serving
from dibs.store.ops.claim import job_claim
from dibs.store.ops.settle import job_settle
from tests.conformance.face import Face
from tests.conformance.spies import raw


def fail(message: str) -> None:
    raise ValueError(message)


def give_up(message: str) -> None:
    raise GiveUp(message)


class Morgue:
    """An app whose handlers `fail` and `give_up` always do, and what it has buried."""

    def __init__(self, face: Face, url: str) -> None:
        self.face, self.url = face, url
        self.fail = face.handler(fail, max_attempts=1)
        self.give_up = face.handler(give_up, queue="mail")

    @property
    def dead(self) -> Face:
        return self.face.dead

    def bury(self, *messages: str, kind: str = "fail") -> list[int]:
        """Have one job die for each message, one after the other; return their ids."""
        ids = [getattr(self, kind).enqueue(message).id for message in messages]
        self.face.work(concurrency=1)
        return ids

    def bury_many(self, count: int) -> list[int]:
        """Have many jobs die at once; return their ids."""
        ids = self.face.enqueue_many([self.fail.request(f"no {n}") for n in range(count)])
        self.face.work(concurrency=100)
        return ids

    def bury_for(self, reason: DeadReason) -> int:
        """Have a job buried for a reason, as a worker does it; return its id."""
        job_id = self.fail.enqueue(f"for {reason}").id
        store, serving = self.face.target.store, Serving(("default",))
        [job] = store.run(job_claim("w", serving, ["fail"], Demand(1))).jobs
        failure = Failed("SomeError", "boom")
        assert store.run(job_settle([Bury(job.ticket, reason, failure)])).moved == {job_id}
        return job_id

    def hold_key(self, job_id: int, key: str, expires_at: int | None = None) -> None:
        """Have a job hold a unique key."""
        during, until = ("active", "NULL") if expires_at is None else ("period", expires_at)
        raw(
            self.url,
            "INSERT INTO dibs_keys (key, job_id, during, expires_at) "
            f"VALUES ('{key}', {job_id}, '{during}', {until})",
        )

    def make_unique(self, key: str, *job_ids: int) -> None:
        """Have dead letters need a unique key when they live."""
        ids = ", ".join(map(str, job_ids))
        raw(
            self.url,
            f"UPDATE dibs_jobs SET unique_key = '{key}', unique_during = 'active' "
            f"WHERE id IN ({ids})",
        )

    def rows(self, table: str) -> int:
        return raw(self.url, f"SELECT COUNT(*) FROM {table}")[0][0]

    def ids(self, **filters: object) -> list[int]:
        return ids(self.dead.list(**filters))


def ids(letters: list[DeadLetter]) -> list[int]:
    return [letter.job.id for letter in letters]
