"""Blocks under a limit, in handlers that run in child processes."""

from __future__ import annotations

from tests.support.command import Folder

JOBS = 12
PROGRAM = f"""
import os, time
from dibs import Dibs, JobContext, Limit

app = Dibs(os.environ["SHOP_URL"])
app.limits.declare([Limit(name="gate", concurrency=1)])

def note(word: str) -> None:
    file = os.open("noted", os.O_WRONLY | os.O_APPEND | os.O_CREAT)
    os.write(file, f"{{word}} {{os.getpid()}}\\n".encode())
    os.close(file)

@app.job(executor="process")
def pass_through(ctx: JobContext, number: int) -> None:
    with ctx.limit("gate"):
        note("in")
        time.sleep(0.01)  # so that others would be inside too, if they could
        note("out")

if __name__ == "__main__":
    app.enqueue_many(pass_through.request(number) for number in range({JOBS}))
"""


def test_never_let_two_children_in_where_one_may_be(folder: Folder):
    folder.write("gates.py", PROGRAM)
    program = folder.python("gates.py")
    assert program.code == 0, program.err
    worked = folder.run("--app", "gates:app", "worker", "--until-idle", "--concurrency", "3")
    assert worked.code == 0, worked.err
    noted = [line.split() for line in folder.lines("noted")]
    assert [word for word, _ in noted] == ["in", "out"] * JOBS
    assert len({pid for _, pid in noted}) > 1
    stats = folder.run("--app", "gates:app", "jobs", "list", "--state", "completed", "--json")
    assert len(stats.document) == JOBS
