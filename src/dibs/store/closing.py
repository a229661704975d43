"""Stores as context managers."""

from __future__ import annotations

from types import TracebackType
from typing import Self


class Closing:
    """Lets `with open_store(…) as store:` close the store at the end."""

    def close(self) -> None:
        """Close every connection."""
        raise NotImplementedError

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()
