"""Scenario 4: a worker's host is cut off for longer than its lease, and comes back."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from dibs import Dibs
from tests.conftest import FAST
from tests.support import recorder
from tests.support.crew import Crew
from tests.support.cutting import APP, CREW, LEASE, Fault, completed, endure
from tests.support.database import misplaced
from tests.support.history.events import What
from tests.support.history.final import history
from tests.support.history.log import Log
from tests.support.history.report import Report, summarize
from tests.support.hosts import NotPermittedError
from tests.support.lan import Lan, over_cables, over_proxies
from tests.support.seed import Chance
from tests.support.waiting import eventually


@pytest.fixture(params=["proxies", "namespaces"])
def lan(request: pytest.FixtureRequest) -> Iterator[Lan]:
    """Two workers' ways to a database: everywhere by proxies, and by cables between hosts."""
    if request.param == "proxies":
        with over_proxies(request.getfixturevalue("postgres_url"), 2) as lan:
            yield lan
        return
    try:
        hosts = over_cables(FAST)
        lan = hosts.__enter__()
    except NotPermittedError as error:
        pytest.skip(f"no network namespaces on this machine: {error}")
    try:
        yield lan
    finally:
        hosts.__exit__(None, None, None)


@pytest.fixture
def scenario(request: pytest.FixtureRequest) -> str:
    return f"partition, {request.node.callspec.params['lan']}"


def test_the_late_end_is_refused_and_the_worker_goes_on(
    lan: Lan, scenario: str, tmp_path: Path, lab: Callable[[Report], None]
):
    app, log = Dibs(lan.url, **APP), Log(tmp_path)
    app.migrate()
    work = app.job(recorder.record_slowly.function)
    at_a, at_b = lan.ways
    with Crew(lan.url, tmp_path, **CREW) as crew:
        with at_a.at():
            (a,) = crew.start(url=at_a.url)
        job = work.enqueue(seconds=60, go=True)
        eventually(lambda: crew.entries("start"), "the first start")
        log.fault(What.CUT, a.id)
        at_a.cut()
        with at_b.at():
            (b,) = crew.start(url=at_b.url)
        rescue = b.wait_for("job_rescued")
        assert (rescue["job_id"], rescue["worker"]) == (job.id, a.id)
        eventually(lambda: len(crew.entries("start")) == 2, "the second start")
        (tmp_path / "go").touch()
        eventually(lambda: completed(lan.url, b) == 1, "its end")
        eventually(lambda: len(crew.entries("end")) == 2, "the end of the first, which is late")
        at_a.mend()
        log.fault(What.MENDED, a.id)
        refusal = a.wait_for("settle_refused")
        assert (refusal["job_id"], refusal["wanted"]) == (job.id, "completed")
        assert b.stop() == 0
        work.enqueue(seconds=0)
        eventually(lambda: completed(lan.url, a) == 1, "the worker that came back to work")
        assert crew.stop() == [0]
    app.close()
    assert misplaced(lan.url) == []
    lab(summarize(scenario, "postgres", history(lan.url, tmp_path)))


@pytest.mark.chaos
@pytest.mark.timeout(240)
def test_cut_off_again_and_again(
    lan: Lan, scenario: str, tmp_path: Path, chance: Chance, lab: Callable[[Report], None]
):
    def faults() -> Iterator[Fault]:
        for _ in range(12):
            number = chance.randrange(2)
            way = lan.ways[number]
            yield Fault("cut", number, way.cut, chance.uniform(0.5, 2.5) * LEASE, way.mend)

    lab(endure(scenario, lan, faults(), tmp_path, chance, load=50))
