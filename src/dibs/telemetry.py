"""Events: one structured log record each, through the standard `logging`.

Every record has an `event` name and its fields as attributes, so any handler can use them;
`configure_logging` shows them as text or as one JSON object per line.
"""

from __future__ import annotations

import json
import logging
import sys
import time
from datetime import UTC, datetime
from typing import Any, Literal, NamedTuple, TextIO

LogFormat = Literal["text", "json"]

_FIELDS = "dibs_fields"


def log_event(logger: logging.Logger, level: int, event: str, message: str, **fields: Any) -> None:
    """Log one event with its fields.

    Args:
        logger: of the part that saw it, below `dibs`.
        level: of `logging`.
        event: its name, in the words of the glossary: `job_failed`, `worker_started`.
        message: for people.
        fields: for programs.
    """
    if logger.isEnabledFor(level):
        logger.log(level, message, extra={"event": event, _FIELDS: fields})


class Ages(NamedTuple):
    """How a loop was doing at one moment, in seconds."""

    succeeded: float | None
    """Since its last success; None before the first."""
    late: float
    """Since it should have succeeded again; 0 while it is in time."""


class Pulse:
    """When a loop last succeeded, and when it is to again; may be read from any thread."""

    def __init__(self) -> None:
        """Begin to wait for the first success."""
        self._beat: tuple[float | None, float] = (None, time.monotonic())

    def beat(self, pause: float = 0.0) -> None:
        """Note a success; the next one is to come in `pause` seconds."""
        now = time.monotonic()
        self._beat = (now, now + max(pause, 0.0))

    def ages(self) -> Ages:
        """Return how long ago it succeeded, and how late it is."""
        last, due = self._beat
        now = time.monotonic()
        return Ages(None if last is None else now - last, max(0.0, now - due))


class TextFormatter(logging.Formatter):
    """Time, level, process, message, then the fields as name=value."""

    def format(self, record: logging.LogRecord) -> str:
        """Return the record as one line, and a traceback below it where there is one."""
        moment = datetime.fromtimestamp(record.created, UTC).strftime("%Y-%m-%dT%H:%M:%S.%f")[:-3]
        line = (
            f"{moment}Z {record.levelname:<7} [{record.process}] {_one_line(record.getMessage())}"
        )
        fields = " ".join(f"{name}={_one_line(str(v))}" for name, v in _fields(record).items())
        text = f"{line}  {fields}" if fields else line
        return f"{text}\n{self.formatException(record.exc_info)}" if record.exc_info else text


class JsonFormatter(logging.Formatter):
    """One JSON object per line: time, level, logger, pid, event, message, and the fields."""

    def format(self, record: logging.LogRecord) -> str:
        """Return the record as one line of JSON."""
        entry = {
            "time": datetime.fromtimestamp(record.created, UTC).isoformat(),
            "level": record.levelname.lower(),
            "logger": record.name,
            "pid": record.process,
            "event": getattr(record, "event", None),
            "message": record.getMessage(),
            **_fields(record),
        }
        if record.exc_info:
            entry["traceback"] = self.formatException(record.exc_info)
        return json.dumps(entry, default=str)


def configure_logging(
    log_format: LogFormat = "text", level: int = logging.INFO, stream: TextIO | None = None
) -> None:
    """Show dibs' events on `stream` (standard error by default) in one of two formats."""
    handler = logging.StreamHandler(stream or sys.stderr)
    handler.setFormatter(JsonFormatter() if log_format == "json" else TextFormatter())
    root = logging.getLogger()
    root.handlers = [handler]
    root.setLevel(max(level, logging.INFO))
    logging.getLogger("dibs").setLevel(level)


def _fields(record: logging.LogRecord) -> dict[str, Any]:
    fields = dict(getattr(record, _FIELDS, {}))
    for name in ("job_id", "kind", "attempt"):  # what JobContext.log adds
        if hasattr(record, name):
            fields.setdefault(name, getattr(record, name))
    return fields


def _one_line(text: str) -> str:
    return text.replace("\n", "\\n")
