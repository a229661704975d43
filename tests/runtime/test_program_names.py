"""Rules of retries that a program stores about its own classes, and a worker that imports it."""

from __future__ import annotations

import pytest

from tests.support.command import Folder

BILLING = """
import os, sys
from dibs import Backoff, Dibs, Retry

app = Dibs(os.environ["SHOP_URL"])
AT_ONCE = Backoff.fixed(0)

class DeclinedError(Exception): ...

@app.job(executor="process")
def charge() -> None:
    raise DeclinedError("card expired")

if __name__ == "__main__":
    charge.using(retry=Retry(backoff=AT_ONCE, give_up_on=[DeclinedError])).enqueue()
    charge.using(retry=Retry(2, AT_ONCE, retry_on=[DeclinedError])).enqueue()
    if sys.argv[1] == "itself":
        app.worker().run(until_idle=True)
"""


@pytest.mark.parametrize("who", ["itself", "another"])
def test_they_are_about_the_same_class_whoever_runs_the_job(folder: Folder, who: str):
    folder.write("billing.py", BILLING)
    program = folder.python("billing.py", who)
    assert program.code == 0, program.err
    if who == "another":
        assert folder.run("--app", "billing:app", "worker", "--until-idle").code == 0
    letters = folder.run("--app", "billing:app", "dead", "list", "--json").document
    assert sorted((one["reason"], one["job"]["attempt"]) for one in letters) == [
        ("attempts_exhausted", 2), ("gave_up", 1)
    ]  # fmt: skip
