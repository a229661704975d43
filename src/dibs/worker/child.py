"""The child's side of a process executor: import the handler, run one job at a time.

Messages are JSON, never pickles.
"""

from __future__ import annotations

import importlib
import json
import os
import signal
import sys
from functools import reduce
from multiprocessing.connection import Connection
from typing import Any

from dibs.client.handler import Handler
from dibs.client.stopping import StopSignal
from dibs.errors import ConfigurationError
from dibs.model.job import DeadReason
from dibs.model.lifecycle import CalledOff, Failed, Outcome, Returned, Snoozed
from dibs.store.ops.claimed import Claimed
from dibs.worker.attempt import attempt_sync, failed

_OUTCOMES = {outcome.__name__: outcome for outcome in (Returned, Failed, Snoozed, CalledOff)}


def encode_job(handler: Handler[..., Any], job: Claimed) -> bytes:
    """Return the message that starts a job."""
    where = (handler.function.__module__, handler.function.__qualname__)
    return json.dumps([where, list(job)]).encode()


def encode_outcome(outcome: Outcome) -> bytes:
    """Return the message that ends a job."""
    fields = {name: getattr(outcome, name) for name in outcome.__dataclass_fields__}
    return json.dumps([type(outcome).__name__, fields]).encode()


def decode_outcome(message: bytes) -> Outcome:
    """Return the outcome that a child sent."""
    name, fields = json.loads(message)
    if fields.get("final") is not None:
        fields["final"] = DeadReason(fields["final"])
    if "errors" in fields:
        fields["errors"] = tuple(fields["errors"])
    outcome: Outcome = _OUTCOMES[name](**fields)
    return outcome


def serve(connection: Connection, folder: str) -> None:
    """Run jobs in `folder` until the parent is gone."""
    os.chdir(folder)
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # a Ctrl-C is the worker's to handle
    signal.signal(signal.SIGTERM, signal.SIG_DFL)
    while True:
        try:
            message = connection.recv_bytes()
            connection.send_bytes(encode_outcome(_run(message)))
        except (EOFError, OSError):  # the parent is gone; others will rescue the job
            return


def _run(message: bytes) -> Outcome:
    (module, qualname), job = json.loads(message)
    try:
        handler = _find(module, qualname)
    except Exception as error:
        return failed(error)
    return attempt_sync(handler, Claimed(*job), StopSignal())


def _find(module: str, qualname: str) -> Handler[..., Any]:
    try:
        loaded = sys.modules[module] if module == "__main__" else importlib.import_module(module)
        found = reduce(getattr, qualname.split("."), loaded)
    except (ImportError, AttributeError) as error:
        raise ConfigurationError(
            f"a child process cannot import the handler {module}.{qualname}: {error}; "
            "define it at the top level of an importable module"
        ) from error
    if not isinstance(found, Handler):
        raise ConfigurationError(
            f"{module}.{qualname} is {found!r}, not a handler; keep the name that @app.job gave it"
        )
    return found
