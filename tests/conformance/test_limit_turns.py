"""Turns under a limit that several lines share: who does not take his keeps nobody waiting."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from dibs import Limit, State
from dibs.model.job import PRIORITY_MAX, NewJob
from dibs.model.lifecycle import Finish
from dibs.model.limits import RECHECK
from dibs.model.lines import Demand, Serving
from dibs.model.times import SECOND
from dibs.store import Role, Store, open_store
from dibs.store.ops.claim import job_claim
from dibs.store.ops.claimed import Claimed
from dibs.store.ops.enqueue import job_enqueue
from dibs.store.ops.limit_rules import limit_declare
from dibs.store.ops.limit_turns import limit_wake
from dibs.store.ops.rooms import Taken, room_free, room_take
from dibs.store.ops.settle import job_settle
from tests.support.database import query

ONE = Limit(name="one", concurrency=1)
RATE = Limit(name="rate", rate=1, per=10)
BURST = Limit(name="burst", rate=100, burst=7)
SERVED, UNSERVED = "served", "unserved"


class Shop:
    """Two queues whose jobs share a limit, and a clock that a test moves."""

    def __init__(self, url: str) -> None:
        self.url = url
        self.now = 1_767_225_600 * SECOND
        self.store: Store = open_store(url, Role.WORKER, clock=lambda: self.now)
        self.store.run(limit_declare({str(one.name): one.rule for one in (ONE, RATE, BURST)}))

    def add(self, limit: Limit, *queues: str, priority: int = 0, cost: int = 1) -> list[int]:
        """Enqueue jobs under a limit, in this order, and see who may start."""
        use = limit.use("mail", {}, cost)
        jobs = [NewJob("mail", "{}", queue, priority, limits=(use,)) for queue in queues]
        stored = self.store.run(job_enqueue(jobs))
        self.store.run(limit_wake())
        return [job.id for job in stored]

    def pass_time(self, micros: int) -> None:
        self.now += micros
        self.store.run(limit_wake())

    def claim(self, queue: str, highest: int = PRIORITY_MAX) -> list[Claimed]:
        serving = Serving((queue,), highest=highest)
        return self.store.run(job_claim("w", serving, ["mail"], Demand(10), limited=True)).jobs

    def end(self, job: Claimed) -> None:
        self.store.run(job_settle([Finish(job.ticket, State.COMPLETED)]))

    def work_off(self, queue: str, highest: int = PRIORITY_MAX) -> list[int]:
        """Run what may start in a queue, one after the other; return the ids."""
        ended = []
        while jobs := self.claim(queue, highest):
            [job] = jobs
            self.end(job)
            ended.append(job.id)
        return ended

    def in_order(self, count: int) -> list[int]:
        """Run so many jobs, whichever queue they are in; return the ids."""
        ended = []
        for _ in range(count):
            [job] = [*self.claim(SERVED), *self.claim(UNSERVED)]
            self.end(job)
            ended.append(job.id)
        return ended

    def untaken(self) -> list[tuple[str | None]]:
        return query(self.url, "SELECT untaken FROM dibs_limit_keys WHERE untaken IS NOT NULL")


@pytest.fixture
def shop(tables_url: str) -> Iterator[Shop]:
    shop = Shop(tables_url)
    with shop.store:
        yield shop


def test_a_queue_that_nobody_serves_keeps_the_others_waiting_once(shop: Shop):
    ids = shop.add(ONE, *[UNSERVED, SERVED] * 5)
    assert shop.work_off(SERVED) == []
    shop.pass_time(RECHECK)
    assert shop.work_off(SERVED) == ids[1::2], "all of them, with no wait between"
    shop.pass_time(RECHECK)
    assert shop.work_off(SERVED) == []
    more = shop.add(ONE, *[UNSERVED, SERVED] * 5)
    assert shop.work_off(SERVED) == more[1::2]


def test_it_is_remembered_while_nobody_waits(shop: Shop):
    ids = shop.add(ONE, UNSERVED, SERVED, UNSERVED, SERVED)
    shop.pass_time(RECHECK)
    assert shop.work_off(SERVED) == ids[1::2]
    assert query(shop.url, "SELECT 1 FROM dibs_blocked") == []
    more = shop.add(ONE, *[UNSERVED, SERVED] * 3)
    assert shop.work_off(SERVED) == more[1::2]


def test_its_turns_come_again_with_its_worker(shop: Shop):
    ids = shop.add(ONE, *[UNSERVED, SERVED] * 3)
    shop.pass_time(RECHECK)
    [running] = shop.claim(SERVED)
    assert shop.untaken() == [('[["unserved", 0]]',)]
    assert shop.claim(UNSERVED) == [], "there is one slot"
    assert shop.untaken() == []
    shop.end(running)
    assert shop.in_order(4) == [ids[0], *ids[2:5]]


def test_a_turn_is_offered_again_now_and_then(shop: Shop):
    """Who had the last one may have been cancelled: without another, nobody would see it served."""
    shop.add(ONE, *[UNSERVED, SERVED] * 2)
    shop.pass_time(RECHECK)
    assert shop.claim(SERVED)
    query(shop.url, "DELETE FROM dibs_ready WHERE queue = 'unserved'")
    [late] = shop.add(ONE, UNSERVED)
    assert query(shop.url, "SELECT job_id FROM dibs_ready") == []
    shop.pass_time(RECHECK)
    assert query(shop.url, "SELECT job_id FROM dibs_ready") == [(late,)]
    assert shop.claim(UNSERVED) == [], "there is one slot"
    assert shop.untaken() == []


def test_a_rate_that_nobody_takes_in_one_queue_is_for_the_other(shop: Shop):
    ids = shop.add(RATE, *[UNSERVED] * 20, SERVED, SERVED)
    ended = []
    for _ in range(4):
        shop.pass_time(10 * SECOND)
        ended += shop.work_off(SERVED)
    assert ended == ids[20:]


def test_who_needs_much_of_a_rate_starts_in_its_place(shop: Shop):
    ids = [
        *shop.add(BURST, *[SERVED] * 10),
        *shop.add(BURST, SERVED, cost=7),
        *shop.add(BURST, *[SERVED] * 20),
    ]
    started: list[int] = []
    while len(started) < len(ids):
        shop.pass_time(SECOND // 100)
        started += (job.id for job in shop.claim(SERVED))
    assert started == ids


def test_where_all_take_theirs_the_first_comes_first(shop: Shop):
    ids = shop.add(ONE, UNSERVED, SERVED, UNSERVED, SERVED)
    assert shop.in_order(4) == ids
    assert shop.untaken() == []


def test_a_level_that_nobody_serves_keeps_the_others_waiting_once(shop: Shop):
    for priority in (20, 5, 0):
        shop.add(ONE, *[SERVED] * 4, priority=priority)
    assert shop.work_off(SERVED, highest=10) == []
    shop.pass_time(RECHECK)
    assert len(shop.work_off(SERVED, highest=10)) == 8
    assert len(shop.work_off(SERVED)) == 4


def test_the_urgent_of_the_queue_that_is_served_come_first(shop: Shop):
    [_, late] = shop.add(ONE, UNSERVED, SERVED)
    [urgent] = shop.add(ONE, SERVED, priority=20)
    shop.pass_time(RECHECK)
    assert shop.work_off(SERVED) == [urgent, late]


def test_the_end_of_a_block_passes_them_over_too(shop: Shop):
    shop.store.run(job_enqueue([NewJob("mail", "{}", "blocks")]))
    [holder] = shop.claim("blocks")
    ids = shop.add(ONE, *[UNSERVED, SERVED] * 2)
    shop.pass_time(RECHECK)
    [running] = shop.claim(SERVED)
    shop.end(running)
    taken = shop.store.run(room_take(holder.ticket, ONE.use("mail", {}, 1)))
    assert isinstance(taken, Taken)
    assert taken.part is not None
    assert shop.claim(SERVED) == [], "the block was quicker"
    key = ONE.use("mail", {}, 1).key
    assert shop.store.run(room_free(holder.ticket, key, taken.part)) == {SERVED}
    assert shop.work_off(SERVED) == [ids[3]]
