"""A SQLite file that is deleted or replaced while it is in use: nobody writes into the void.

Only SQLite has a file that a user can take away.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from dibs import Dibs, State, StoreUnavailableError
from tests.conformance.working import work


def declare(url: str) -> Dibs:
    app = Dibs(url)

    @app.job
    def ping() -> None: ...

    return app


def remove(url: str) -> None:
    path = Path(url.removeprefix("sqlite:///"))
    for file in path.parent.glob(path.name + "*"):
        file.unlink()


@pytest.mark.parametrize("first", ["enqueue", "list"])
def test_the_loss_is_told_once_and_work_goes_on_in_the_new_file(sqlite_url: str, first: str):
    app = declare(sqlite_url)
    ping = app.handlers["ping"]
    ping.enqueue()
    app.jobs.list()
    remove(sqlite_url)
    uses: dict[str, Callable[[], object]] = {"enqueue": ping.enqueue, "list": app.jobs.list}
    for use in (uses[first], *(use for name, use in uses.items() if name != first)):
        with pytest.raises(StoreUnavailableError, match="deleted or replaced"):
            use()
    job = ping.enqueue()
    assert [found.id for found in app.jobs.list()] == [job.id]
    work(app)
    assert app.jobs.get(job.id).state is State.COMPLETED
    app.close()
