"""What runs in the benchmark's child processes: a worker as users run it, or a bare loop.

    python -m dibs.bench.child worker | raw          the database comes as $DIBS_URL

Standard input brings one request per line, standard output one line of JSON for each. When the
input ends, because the benchmark is done or gone, the process ends.
"""

from __future__ import annotations

import json
import resource
import sys
import threading
from pathlib import Path
from typing import Any

from dibs.store.base import Role


def main() -> None:
    """Serve requests until the input ends."""
    if sys.argv[1] == "worker":
        _work()
    else:
        _loop()


def _work() -> None:
    from dibs.bench.handlers import app, started

    worker = app.worker()

    def serve() -> None:
        for line in sys.stdin:
            _answer(started if line.strip() == "started" else usage())
        worker.stop()

    threading.Thread(target=serve, name="bench-serve", daemon=True).start()
    worker.run()
    app.close()


def _loop() -> None:
    import os

    from dibs.bench.raw import drain, open_raw

    raw = open_raw(os.environ["DIBS_URL"], Role.WORKER)
    for line in sys.stdin:
        _answer({"drained": drain(raw)} if line.strip() == "drain" else usage())
    raw.close()


def _answer(answer: Any) -> None:
    sys.stdout.write(json.dumps(answer) + "\n")
    sys.stdout.flush()


def usage() -> dict[str, float]:
    """Return the CPU seconds and the peak memory, in bytes, of this process until now."""
    used = resource.getrusage(resource.RUSAGE_SELF)
    return {"cpu": used.ru_utime + used.ru_stime, "memory": _peak_memory(used.ru_maxrss)}


def _peak_memory(maxrss: int) -> int:
    """Prefer Linux's own word: its ru_maxrss counts what the parent had before the exec."""
    try:
        status = Path("/proc/self/status").read_text("utf-8")
    except OSError:
        return maxrss if sys.platform == "darwin" else maxrss * 1024
    line = next(line for line in status.splitlines() if line.startswith("VmHWM:"))
    return int(line.split()[1]) * 1024


if __name__ == "__main__":
    main()
