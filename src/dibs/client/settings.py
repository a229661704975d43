"""What an app and its workers agree on."""

from __future__ import annotations

from dataclasses import dataclass

from dibs.errors import ConfigurationError
from dibs.model.times import SECOND, Duration, duration

BEATS_PER_LEASE = 3
"""A lease must outlive this many heartbeats, or a single late one would lose it."""


@dataclass(frozen=True, slots=True)
class Settings:
    """Checked settings; durations in microseconds."""

    heartbeat: int = 5 * SECOND
    lease: int = 30 * SECOND
    max_crashes: int = 3
    max_args_bytes: int = 1_000_000
    stalled_after: int = 300 * SECOND


def make_settings(
    heartbeat: Duration,
    lease: Duration,
    max_crashes: int,
    max_args_bytes: int,
    stalled_after: Duration,
) -> Settings:
    """Check settings as the user gave them.

    Raises:
        ConfigurationError: a value is out of its range, or the lease is too short for the
            heartbeat.
    """
    beat, held = duration(heartbeat, "heartbeat", minimum=0.01), duration(lease, "lease")
    if held < beat * BEATS_PER_LEASE:
        raise ConfigurationError(
            f"lease={lease!r} with heartbeat={heartbeat!r}: a lease must be at least "
            f"{BEATS_PER_LEASE} heartbeats long"
        )
    for name, value in (("max_crashes", max_crashes), ("max_args_bytes", max_args_bytes)):
        if isinstance(value, bool) or not isinstance(value, int) or value < 1:
            raise ConfigurationError(f"{name}={value!r}: expected a positive integer")
    stalled = duration(stalled_after, "stalled_after", minimum=0.01)
    return Settings(beat, held, max_crashes, max_args_bytes, stalled)
