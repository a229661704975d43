"""Worker and producer processes that die a moment after they began, one after the other.

`python -m tests.support.sacrifice DEATHS SEED LONGEST`, with the options of a recorder in
`$RECORDER`. Each process is a fork, so that a thousand of them don't cost a thousand starts of
Python, and is ended by the kernel's own timer: at a random moment to the microsecond, without a
last word.
"""

from __future__ import annotations

import os
import signal
import sys
from random import Random

from dibs import DibsError
from tests.support import recorder
from tests.support.customer import Customer, Mix
from tests.support.history.events import What
from tests.support.history.log import Log
from tests.support.history.tap import tap

QUICK = Mix(failing=0.1, children=0, longest=0.003)
WORKERS = 0.7
"""Share of the processes that are workers; the others are producers."""


def main(deaths: int, seed: str, longest: float) -> None:
    """Have `deaths` processes live for up to `longest` seconds each."""
    chance, log = Random(seed), Log(recorder.FOLDER)
    tap(log)
    for number in range(deaths):
        life = chance.uniform(0, longest)
        child = os.fork()
        if not child:
            live(log, Random(f"{seed}-{number}"), life)
        _, status = os.waitpid(child, 0)
        if not os.WIFSIGNALED(status):
            raise SystemExit(f"process {number} ended by itself: {status}")


def live(log: Log, chance: Random, life: float) -> None:
    """Work until the timer ends this process."""
    app = recorder.app
    worker = app.worker(concurrency=10) if chance.random() < WORKERS else None
    if worker is not None:
        log.fault(What.KILLED, worker.id)  # for it will not be able to
    else:
        log.fault()
    signal.setitimer(signal.ITIMER_REAL, max(life, 1e-6))
    try:
        if worker is not None:
            worker.run()
        else:
            customer = Customer(app, log, chance, QUICK)
            while True:
                customer.once()
    except DibsError as error:  # it must not go on as the parent
        print(error, flush=True)
    os._exit(1)


if __name__ == "__main__":
    # By its own name, so that the handlers are those that workers know.
    from tests.support import sacrifice

    sacrifice.main(int(sys.argv[1]), sys.argv[2], float(sys.argv[3]))
