"""An app whose jobs stay in their slots until they are let go."""

from __future__ import annotations

import threading

from dibs import Dibs


class Held:
    """An app whose handler stays in its slot until it is let go."""

    def __init__(self, app: Dibs) -> None:
        self.app = app
        self.started: list[str] = []
        self._turns = threading.Semaphore(0)

        @app.job
        def hold(name: str) -> None:
            self.started.append(name)
            self._turns.acquire()

        self.hold = hold

    def wait(self, name: str, priority: int, queue: str = "default") -> None:
        """Have a job wait in a line."""
        self.hold.using(priority=priority, queue=queue).enqueue(name)

    def let_go(self) -> None:
        """Let one job end: the next one that asks, if none is in its slot."""
        self._turns.release()

    def let_all_go(self) -> None:
        """Let all jobs end, those too that are still to start."""
        self._turns.release(1_000_000)
