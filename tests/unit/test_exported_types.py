"""A type checker sees the handlers' own signatures through everything that enqueues."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

import pytest

SNIPPET = """
from datetime import timedelta

from dibs import (
    Aging, Dibs, Explanation, Handler, Job, Priority, Queue, QueuePolicy, State, Verdict, Worker,
)  # fmt: skip

app = Dibs("sqlite:///shop.db")


@app.job(queue="mail", priority=Priority.HIGH)
async def confirm(order_id: int, email: str, *, copies: int = 1) -> None: ...


@app.job
def total(order_id: int) -> float:
    return 1.0


def right() -> None:
    job: Job = confirm.enqueue(1, "a@example.com")
    confirm.enqueue(order_id=1, email="a@example.com", copies=2)
    confirm.using(priority=Priority.CRITICAL, delay=60).enqueue(1, email="a@example.com")
    price: float = total(3)
    found: Job = app.jobs.get(job.id)
    listed: list[Job] = app.jobs.list(state=State.READY, limit=5)
    ids: list[int] = app.enqueue_many([confirm.request(1, "a@example.com")])
    app.jobs.cancel(job.id, reason=None)
    moved: Job = app.jobs.reprioritize(job.id, Priority.HIGH)
    why: Explanation = app.jobs.explain(job.id)
    print(why.verdict is Verdict.IN_LINE)
    app.enqueue("confirm", {"order_id": 1, "email": "a"}, priority=20)
    print(price, found, listed, ids, moved, app.stats().waiting)


def right_policies() -> None:
    aging = Aging(after=600, every=timedelta(minutes=1), step=1, ceiling=Priority.HIGH)
    app.queues.declare("mail", aging=aging)
    mail: Queue = app.queues.configure("mail", aging=aging, weights={20: 8, Priority.LOW: 1})
    shares = {Priority.HIGH: 3, Priority.LOW: 1}
    policy: QueuePolicy = app.queues.configure("mail", weights=shares).policy
    listed: list[Queue] = app.queues.list()
    share: int = app.queues.reset("mail").policy.weights[10]
    gained: int = aging.effective(0, 720) + aging.effective(0, timedelta(minutes=12))
    worker: Worker = app.worker({"mail": 3}, priorities=(10, None), reserve={Priority.HIGH: 2})
    app.worker(["mail"], priorities=(None, Priority.HIGH), reserve=shares).run()
    print(mail.declared, policy.aging, policy.strict, listed, share, gained, worker.queues)


async def right_too() -> None:
    job: Job = await confirm.aenqueue(1, "a@example.com")
    await confirm.using(queue="now").aenqueue(order_id=1, email="a@example.com")
    found: Job = await app.jobs.aget(job.id)
    listed: list[Job] = await app.jobs.alist(queue="mail")
    await confirm(1, "a@example.com")
    mail: Queue = await app.queues.aconfigure("mail", aging=Aging())
    print(found, listed, mail, (await app.astats()).waiting)


def wrong() -> None:
    confirm.enqueue("one", "a@example.com")  # error: arg-type
    confirm.enqueue(1)  # error: call-arg
    confirm.enqueue(1, "a@example.com", copy=2)  # error: call-arg
    confirm.enqueue(1, "a@example.com", 2)  # error: call-arg
    confirm.request(1, 2)  # error: arg-type
    confirm.using(priority=1).enqueue(1, b"a")  # error: arg-type
    confirm.using(priority="high")  # error: typeddict-item,arg-type
    confirm.using(prio=1)  # error: call-arg
    app.jobs.get("7")  # error: arg-type
    app.jobs.list(states="ready")  # error: call-arg
    app.enqueue_many([confirm])  # error: list-item
    total("3")  # error: arg-type
    price: str = total(3)  # error: assignment
    text: str = app.jobs.get(7)  # error: assignment
    app.job(priority="high")  # error: call-overload
    print(price, text)


def wrong_policies() -> None:
    Aging(after="10m")  # error: arg-type
    Aging(ceiling="HIGH")  # error: arg-type
    Aging(before=600)  # error: call-arg
    Aging().every = 5  # error: misc
    app.queues.configure("mail", aging=600)  # error: arg-type
    app.queues.configure("mail", Aging())  # error: call-arg,misc
    app.queues.configure("mail", weights=[(10, 2)])  # error: arg-type
    app.queues.declare("mail", weights={"HIGH": 2})  # error: dict-item,arg-type
    app.queues.configure("mail").policy.weights[10] = 2  # error: index
    app.worker(5)  # error: arg-type
    app.worker({"mail": "3"})  # error: dict-item,arg-type
    app.worker(priorities=10)  # error: arg-type
    app.worker(priorities=(1, 2, 3))  # error: arg-type
    app.worker(reserve={"HIGH": 2})  # error: dict-item,arg-type
    app.worker(reserve=2)  # error: arg-type
    policy: QueuePolicy = app.queues.get("mail")  # error: assignment
    print(policy)


async def wrong_too() -> None:
    await confirm.aenqueue("one", "a@example.com")  # error: arg-type
    await confirm.aenqueue(email="a@example.com")  # error: call-arg
    await confirm.using(delay=1).aenqueue(1, 2)  # error: arg-type
    await app.jobs.aget("7")  # error: arg-type
    await app.jobs.acancel(7, 8)  # error: arg-type
    await app.jobs.areprioritize(7, "high")  # error: arg-type
    job: Job = app.jobs.aget(7)  # error: assignment
    print(job)
"""


@pytest.fixture(scope="module")
def complaints(tmp_path_factory: pytest.TempPathFactory) -> dict[int, str]:
    """What mypy says of the snippet: the line, and the code of its error."""
    folder = tmp_path_factory.mktemp("typed")
    snippet = folder / "snippet.py"
    snippet.write_text(SNIPPET)
    command = [
        sys.executable,
        "-m",
        "mypy",
        "--strict",
        "--no-error-summary",
        "--hide-error-context",
    ]
    cache = ["--config-file=", f"--cache-dir={folder / 'cache'}", "--follow-imports=silent"]
    done = subprocess.run(
        [*command, *cache, str(snippet)],
        capture_output=True, text=True, cwd=folder, timeout=110, check=False,
    )  # fmt: skip
    assert done.returncode == 1, done.stdout + done.stderr
    found = re.findall(r"snippet\.py:(\d+): error: .* \[([a-z-]+)\]$", done.stdout, re.MULTILINE)
    assert len(found) == done.stdout.count("error:"), done.stdout
    return {int(line): code for line, code in found}


LINES = dict(enumerate(SNIPPET.splitlines(), 1))
WRONG = {
    n: line.partition("# error: ")[2].split(",") for n, line in LINES.items() if "# err" in line
}


@pytest.mark.parametrize("line", WRONG, ids=lambda n: LINES[n].partition("#")[0].strip())
def test_wrong_args_are_refused(complaints: dict[int, str], line: int):
    assert complaints.get(line) in WRONG[line]


def test_right_ones_are_not(complaints: dict[int, str]):
    assert {LINES[line]: code for line, code in complaints.items() if line not in WRONG} == {}


def test_the_package_says_that_it_is_typed():
    import dibs

    assert (Path(dibs.__file__).parent / "py.typed").exists()
