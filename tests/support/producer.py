"""A process that enqueues as fast as it can: `python -m tests.support.producer URL SECONDS`.

Most jobs come one by one, some fifty at a time. Every job that was acknowledged is written to
standard output, one id per line, at once: what is there was promised.
"""

from __future__ import annotations

import os
import sys
import time

from dibs import Dibs, StoreUnavailableError
from tests.support import recorder


def main(url: str, seconds: float, patient: bool) -> None:
    app = Dibs(url)
    record = app.job(recorder.record.function)
    end = time.monotonic() + seconds
    turn = 0
    while time.monotonic() < end:
        turn += 1
        try:
            if turn % 10:
                ids = [record.enqueue().id]
            else:
                ids = app.enqueue_many(record.request() for _ in range(50))
        except StoreUnavailableError:
            if not patient:
                raise
            time.sleep(0.05)  # the server is down: what a patient producer does
            continue
        os.write(1, "".join(f"{id_}\n" for id_ in ids).encode())
    app.close()


if __name__ == "__main__":
    main(sys.argv[1], float(sys.argv[2]), sys.argv[3:] == ["patient"])
