"""Why a job is not running yet: what is ahead of it, and when it starts."""

from __future__ import annotations

import random
from datetime import timedelta
from typing import Any

import pytest

from dibs import Aging, DibsError, State, Verdict
from dibs.model.lines import Demand, Serving
from dibs.model.queues import QueuePolicy
from dibs.store.ops.claim import job_claim
from tests.conformance.explaining import NOON, Shop, note
from tests.conformance.face import Face
from tests.conformance.spies import raw


class TestAhead:
    def test_under_strict_order(self, shop: Shop):
        jobs = [shop.add(p, waited=w) for p, w in [(0, 60), (0, 30), (10, 0), (20, 5), (-1, 90)]]
        shop.add(20, queue="elsewhere")
        found = [shop.explain(job) for job in jobs]
        assert [one.ahead for one in found] == [2, 3, 1, 0, 4]
        assert [one.ahead_in_line for one in found] == [0, 1, 0, 0, 0]
        assert not any(one.ahead_more for one in found)

    def test_is_what_goes_first_whatever_the_policy(self, shop: Shop):
        chance = random.Random(20_260_504)
        shop.policy(QueuePolicy(Aging(after=30, every=20, step=2, ceiling=9)), "aging")
        shop.policy(QueuePolicy(Aging(after=0, every=7), {5: 3, 0: 1}), "both")
        for queue in ("strict", "aging", "both"):
            for _ in range(30):
                shop.add(chance.randrange(-3, 12), waited=chance.randrange(200), queue=queue)
        ahead = {job.id: shop.explain(job).ahead for job in shop.face.jobs.list()}
        for queue in ("strict", "aging", "both"):
            found = shop.do(job_claim("w", Serving((queue,)), ["note"], Demand(100)))
            levels: dict[bool, list[int]] = {True: [], False: []}
            for job in found.jobs:
                levels[queue == "both" and job.priority >= 5].append(job.id)
            for ids in levels.values():
                assert [ahead[id_] for id_ in ids] == [*range(len(ids))]

    def test_by_aging_it_overtakes(self, shop: Shop):
        shop.policy(QueuePolicy(Aging(after=60, every=60, step=5, ceiling=20)))
        old, young = shop.add(0, waited=130), shop.add(9)
        found = shop.explain(old)
        assert (found.job.priority, found.job.effective_priority, found.ahead) == (0, 10, 0)
        assert "Its priority is 0; having waited so long, it counts as 10." in found.sentences
        assert shop.explain(young).ahead == 1

    def test_under_weights_in_its_own_level(self, shop: Shop):
        shop.policy(QueuePolicy(weights={20: 6, 10: 3, 0: 1}))
        shop.worker(slots=0)
        for priority in (25, 25, 9, 0):
            shop.add(priority)
        job = shop.add(1)
        found = shop.explain(job)
        assert (found.ahead, found.share) == (1, pytest.approx(1 / 7))
        assert (
            "1 job of its level is ahead of it, with another priority. By its queue's weights 14% "
            "of the turns are its level's." in found.sentences
        )

    def test_is_only_what_its_workers_take(self, shop: Shop):
        shop.policy(QueuePolicy(weights={10: 8, 5: 2, 0: 1}), "weighted")
        for queue in ("mail", "weighted"):
            for priority in [10] * 5 + [5, 0]:
                shop.add(priority, waited=60, queue=queue)
        job, weighted = shop.add(0), shop.add(0, queue="weighted")
        queues = ["mail", "weighted"]
        shop.worker("urgent", queues=queues, lowest=10)
        shop.worker("ignorant", queues=queues, kinds=["other"])
        shop.worker("elsewhere", queues=["elsewhere"])
        assert shop.explain(job).ahead == 7  # nobody takes it, so nobody tells
        assert shop.explain(weighted).share == pytest.approx(1 / 11)
        shop.worker("low", queues=queues, highest=5, slots=3)
        found = shop.explain(job)
        assert (found.ahead, found.ahead_in_line) == (2, 1)
        assert found.verdict is Verdict.ABOUT_TO_START
        assert shop.explain(weighted).share == pytest.approx(1 / 3)
        shop.worker("all", queues=queues)
        assert shop.explain(job).ahead == 7  # though one of the two takes no 10

    def test_is_counted_up_to_a_bound(self, shop: Shop):
        shop.worker(slots=0)
        for priority in (5, 5, 5, 0, 0):
            shop.add(priority)
        job = shop.add(0)
        assert [shop.explain(job, most=n).ahead for n in (1, 4, 5, 6)] == [1, 4, 5, 5]
        found = shop.explain(job, most=4)
        assert (found.ahead_more, found.ahead_in_line) == (True, None)
        assert "More than 4 jobs of its queue are ahead of it." in found.sentences
        exact = shop.explain(job, most=5)
        assert (exact.ahead_more, exact.ahead_in_line) == (False, 2)
        assert "5 jobs of its queue are ahead of it, 2 with the same priority." in exact.sentences

    @pytest.mark.parametrize("most", [0, 1_000_001, True, "7", 2.0])
    def test_a_bad_bound_is_refused(self, shop: Shop, most: Any):
        with pytest.raises(DibsError, match=r"most=.*: expected a number from 1 to 1000000"):
            shop.face.jobs.explain(1, most=most)


class TestInLine:
    def test_is_about_to_start_where_a_slot_is_free(self, shop: Shop):
        shop.worker(slots=3)
        running, first, second, third = (shop.add(waited=10 - n) for n in range(4))
        shop.claim(1)
        assert shop.explain(running).job.state is State.RUNNING
        assert [shop.explain(job).verdict for job in (first, second, third)] == [
            "about_to_start", "about_to_start", "in_line"
        ]  # fmt: skip
        found = shop.explain(second)
        assert (found.starts_in, found.candidates[0].free) == (timedelta(0), 2)
        assert found.sentences[1:3] == [
            "A slot is free for it: it is about to start.",
            "If it still waits, the worker with the free slot hangs.",
        ]
        assert (
            "with 2 of 3 slots free: w (heartbeat less than a second ago)." in found.sentences[-1]
        )

    def test_where_only_reserved_slots_are_free(self, shop: Shop):
        shop.worker(slots=4, reserve={10: 1, 20: 1})
        for _ in range(2):
            shop.add(0, waited=60)
        shop.claim(2)
        low = shop.add(9)
        found = shop.explain(low)
        assert (found.verdict, found.ahead, found.starts_in) == (Verdict.IN_LINE, 0, None)
        [worker] = found.candidates
        assert (worker.worker.reserve, worker.free, worker.kept) == ({10: 1, 20: 1}, 0, 2)
        assert (
            "with 0 of 4 slots free and 2 kept for more urgent jobs: w (heart"
            in found.sentences[-1]
        )
        for priority, free, kept in ((10, 1, 1), (19, 1, 1), (20, 2, 0)):
            job = shop.add(priority)
            found = shop.explain(job)
            assert found.verdict is Verdict.ABOUT_TO_START
            [worker] = found.candidates
            assert (worker.free, worker.kept) == (free, kept)
            shop.face.jobs.cancel(job.id)
        shop.worker("another", slots=1)
        assert shop.explain(low).verdict is Verdict.ABOUT_TO_START
        behind = shop.explain(shop.add(9))
        assert (behind.verdict, behind.ahead) == (Verdict.IN_LINE, 1)

    def test_where_a_worker_has_claimed_ahead(self, shop: Shop):
        shop.worker(slots=3, reserve={10: 1})
        for _ in range(6):
            shop.add(0, waited=60)
        shop.claim(6)  # two of them run, the others are held for later
        assert shop.explain(shop.add(10)).verdict is Verdict.ABOUT_TO_START
        assert shop.explain(shop.add(0)).verdict is Verdict.IN_LINE

    def test_by_the_pace_of_its_queue(self, shop: Shop):
        shop.worker(queues=["mail", "web"])
        shop.add(9)
        shop.add(9)
        shop.claim(2)
        for priority in (10, 10, 10, 0):
            shop.add(priority)
        job = shop.add(0)
        minute = int(NOON.timestamp()) // 60
        for row in (
            (minute - 2, "w", "mail", "note", 10, "completed", 90),
            (minute - 2, "w", "mail", "note", 0, "failed", 20),
            (minute - 1, "v", "mail", "other", 0, "dead", 10),
            (minute - 1, "", "mail", "note", 0, "cancelled", 5_000),  # no worker did that
            (minute - 1, "w", "web", "note", 0, "completed", 5_000),
            (minute - 5, "w", "mail", "note", 0, "completed", 5_000),  # too long ago
        ):
            raw(shop.url, f"INSERT INTO dibs_counters VALUES {(*row, 0, 0)}")
        found = shop.explain(job)
        assert found.verdict is Verdict.IN_LINE
        assert (found.pace.queue, found.pace.line) == (1.0, 0.25)
        assert found.pace.window == timedelta(minutes=2)
        assert (found.ahead, found.starts_in) == (4, timedelta(seconds=5))
        assert found.sentences[2:] == [
            "4 jobs of its queue are ahead of it, 1 with the same priority.",
            "Over the last 2 min attempts of its queue ended at 1 per second, those with its "
            "priority at 15 per minute.",
            "So it starts in about 5 s; more urgent jobs that come in until then go first.",
            "1 of 1 live worker can run it, with 0 of 2 slots free: w (heartbeat less than a "
            "second ago).",
            "Some of them serve queue web too, whose jobs are not counted here.",
        ]
        assert "in more than about 3 s" in str(shop.explain(job, most=2))

    def test_by_the_pace_of_the_lines_that_its_workers_take(self, shop: Shop):
        shop.worker("urgent", lowest=10)
        shop.worker("low", highest=5, slots=0)
        shop.add(0)
        minute = int(NOON.timestamp()) // 60 - 1
        for priority, count in ((10, 6_000), (5, 60)):
            row = (minute, "w", "mail", "note", priority, "completed", count, 0, 0)
            raw(shop.url, f"INSERT INTO dibs_counters VALUES {row}")
        found = shop.explain(shop.add(0))
        assert (found.pace.queue, found.pace.line) == (101, 0)
        assert (found.ahead, found.starts_in) == (1, timedelta(seconds=2))

    def test_where_nothing_moves(self, shop: Shop):
        shop.worker(slots=1)
        shop.add()
        shop.claim(1)
        found = shop.explain(shop.add())
        assert (found.verdict, found.ahead, found.starts_in) == (Verdict.IN_LINE, 0, None)
        assert "No attempt of its queue ended in the last 4 min." in found.sentences
        assert "So nobody can tell when it will start." in found.sentences

    def test_counts_what_real_workers_did(self, face: Face):
        handler = face.handler(note)
        for _ in range(20):
            handler.enqueue()
        face.work()
        found = face.jobs.explain(handler.enqueue().id)
        assert found.pace.queue == found.pace.line > 0
        assert found.pace.queue * found.pace.window.total_seconds() == pytest.approx(20)
