"""What people may do in the random histories: change and cancel jobs, pause and resume."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, precondition, rule

from dibs.errors import JobNotFoundError, JobStateError
from dibs.model.job import Job
from dibs.model.pauses import NewPause
from dibs.store.ops.jobs import job_cancel, job_reprioritize, job_reschedule
from dibs.store.ops.pauses import kind_pause, kind_resume
from dibs.store.ops.queues import queue_pause, queue_resume
from dibs.store.statement import Operation
from tests.model_based import strategies as some
from tests.model_based.engines import Engines
from tests.model_based.entry import Entry
from tests.model_based.oracle import Oracle
from tests.model_based.strategies import KINDS


class Changes(RuleBasedStateMachine):
    """The part of a history that people make."""

    engines: Engines
    now: int
    oracle: Oracle

    @rule(back=some.backs, reason=st.sampled_from([None, "not wanted"]))
    def cancel(self, back: int, reason: str | None) -> None:
        self.change(
            back, lambda id_: job_cancel(id_, reason), lambda id_: self.oracle.cancel(id_, reason)
        )

    @rule(back=some.backs, priority=some.priorities)
    def reprioritize(self, back: int, priority: int) -> None:
        self.change(
            back,
            lambda id_: job_reprioritize(id_, priority),
            lambda id_: self.oracle.reprioritize(id_, priority),
        )

    @rule(back=some.backs, when=some.moments)
    def reschedule(self, back: int, when: tuple[int | None, int]) -> None:
        moment, delay = when
        at = None if moment is None else self.now + moment
        self.change(
            back,
            lambda id_: job_reschedule(id_, at, delay),
            lambda id_: self.oracle.reschedule(id_, self.now + delay if at is None else at),
        )

    @rule(queue=some.queues, lasting=some.pauses)
    def pause_queue(self, queue: str, lasting: int | None) -> None:
        found = self.engines.run(queue_pause(queue, NewPause(None, None, None, lasting)))
        self.oracle.pause("queue", queue, None if lasting is None else self.now + lasting)
        assert (found.paused is not None) == (queue in self.oracle.paused("queue"))

    @rule(kind=st.sampled_from(KINDS), lasting=some.pauses)
    def pause_kind(self, kind: str, lasting: int | None) -> None:
        found = self.engines.run(kind_pause(kind, NewPause(None, None, None, lasting)))
        self.oracle.pause("kind", kind, None if lasting is None else self.now + lasting)
        assert (found.paused is not None) == (kind in self.oracle.paused("kind"))

    @precondition(lambda self: self.oracle.pauses)
    @rule()
    def resume(self) -> None:
        """Resume all that is paused."""
        for what, name in self.oracle.pauses:
            self.engines.run(queue_resume(name) if what == "queue" else kind_resume(name))
        self.oracle.pauses.clear()

    def change(
        self,
        back: int,
        operation: Callable[[int], Operation[Job]],
        expect: Callable[[int], Entry | None],
    ) -> None:
        """Change a job that may be waiting, or be none."""
        job_id = len(self.oracle.jobs) - back
        if job_id not in self.oracle.jobs:
            with pytest.raises(JobNotFoundError):
                self.engines.run(operation(job_id))
            return
        before = self.oracle.jobs[job_id].state
        expected = expect(job_id)
        if expected is None:
            with pytest.raises(JobStateError, match=f"it is {before};"):
                self.engines.run(operation(job_id))
        else:
            assert self.engines.run(operation(job_id)) == self.oracle.job(expected)
