"""How a handler hears that its attempt shall stop."""

from __future__ import annotations


class StopSignal:
    """Told by the worker's loop, read by the handler's thread: one write, so no lock."""

    __slots__ = ("reason",)

    def __init__(self) -> None:
        """Begin untold."""
        self.reason: str | None = None

    def tell(self, reason: str) -> None:
        """Ask the attempt to stop; the first reason stays."""
        if self.reason is None:
            self.reason = reason
