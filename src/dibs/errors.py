"""Every error dibs raises on purpose.

    DibsError
    ├── ConfigurationError        a URL, option, handler or environment that cannot work
    │   ├── MissingDependencyError    an extra is not installed
    │   ├── SchemaError               the tables are missing, older or newer than this code
    │   └── InvalidScheduleError      a schedule that cannot be; nothing was stored
    │       └── InvalidCronError          a cron expression that means nothing
    ├── InvalidJobError           a job that must not be stored; nothing was stored
    │   ├── InvalidArgsError          args don't fit the handler's annotations, or are too large
    │   ├── UnknownKindError          no handler is registered under this kind
    │   └── DuplicateJobError         another job holds its key
    ├── ScheduleNotFoundError     no schedule has this name
    ├── ScheduleExistsError       another schedule has this name
    ├── JobNotFoundError          no job has this id
    ├── JobStateError             the job's state does not allow this
    ├── ClaimLostError            the attempt that runs no longer owns its job; let it out
    ├── KeyInUseError             a job that waits or runs holds the unique key of this one
    ├── StopRequestedError        the attempt that runs shall stop; let it out of the handler
    └── StoreError                the database refused or could not be reached
        └── StoreUnavailableError     it may well work again later

Messages name the value, what was expected, and what to do.
"""

from __future__ import annotations


class DibsError(Exception):
    """Base of every error raised by dibs."""


class ConfigurationError(DibsError):
    """A URL, option, handler or environment that cannot work."""


class MissingDependencyError(ConfigurationError):
    """An optional dependency is needed and not installed."""

    def __init__(self, package: str, extra: str, purpose: str) -> None:
        """Name the `package`, the `extra` that brings it, and what it is needed for."""
        super().__init__(
            f"{purpose} needs the package {package!r}; install it with: pip install 'dibs[{extra}]'"
        )
        self.package = package
        self.extra = extra


class SchemaError(ConfigurationError):
    """The tables are missing, older, or newer than this version of dibs."""


class InvalidScheduleError(ConfigurationError, ValueError):
    """A schedule that cannot be; nothing was stored."""


class InvalidCronError(InvalidScheduleError):
    """A cron expression that means nothing, or a day that never comes."""

    def __init__(self, expression: str, position: int, reason: str) -> None:
        """Say why the `expression` means nothing, and from which character on, from 1."""
        super().__init__(f"cron expression {expression!r}, position {position}: {reason}")
        self.expression = expression
        self.position = position
        self.reason = reason


class InvalidJobError(DibsError, ValueError):
    """A job that must not be stored; nothing was stored."""


class InvalidArgsError(InvalidJobError):
    """The args don't fit the handler's annotations, are not JSON, or are too large."""

    def __init__(self, kind: str, problem: str) -> None:
        """Say what is wrong with the args of a job of `kind`."""
        super().__init__(f"args of {kind!r}: {problem}")
        self.kind = kind
        self.problem = problem


class UnknownKindError(InvalidJobError, LookupError):
    """No handler is registered under this kind."""

    def __init__(self, kind: str, known: list[str]) -> None:
        """Name the unknown `kind` and the `known` ones."""
        listed = ", ".join(sorted(known)) or "none"
        super().__init__(
            f"unknown kind {kind!r}; registered kinds: {listed}; "
            "register a handler with @app.job, and import its module before enqueueing"
        )
        self.kind = kind

    def __str__(self) -> str:
        """Show the message itself: LookupError's subclasses may quote it."""
        return str(self.args[0])


class DuplicateJobError(InvalidJobError):
    """Another job holds the key of a job, and is not to be returned or can't be replaced."""

    def __init__(self, key: str, job_id: int | None, state: str, advice: str) -> None:
        """Name the `key`, and the job that holds it, None for one of the same enqueue."""
        holder = "another job of the same enqueue" if job_id is None else f"job {job_id} ({state})"
        super().__init__(f"the key {key!r} is held by {holder}; {advice}")
        self.key = key
        self.job_id = job_id
        self.state = state


class ScheduleNotFoundError(DibsError, LookupError):
    """No schedule has this name."""

    def __init__(self, name: str) -> None:
        """Name the schedule that was asked for."""
        super().__init__(
            f"no schedule is named {name!r}; 'dibs schedules list' shows the ones there are"
        )
        self.name = name


class ScheduleExistsError(DibsError):
    """Another schedule has this name."""

    def __init__(self, name: str) -> None:
        """Name the schedule that is there."""
        super().__init__(
            f"there is a schedule named {name!r}; update or delete it, or choose another name"
        )
        self.name = name


class JobNotFoundError(DibsError, LookupError):
    """No job has this id."""

    def __init__(self, job_id: int) -> None:
        """Name the `job_id` that was asked for."""
        super().__init__(f"no job has the id {job_id}; 'dibs jobs list' shows the ones there are")
        self.job_id = job_id


class JobStateError(DibsError):
    """The job's state does not allow what was asked."""

    def __init__(self, job_id: int, state: str, verb: str, allowed: str) -> None:
        """Say that `verb` needs one of the `allowed` states, and which one the job is in."""
        super().__init__(
            f"cannot {verb} job {job_id}: it is {state}; this needs a job that is {allowed}"
        )
        self.job_id = job_id
        self.state = state


class StopRequestedError(DibsError):
    """The attempt that runs shall stop: it was cancelled, its time is up, or its worker stops."""

    def __init__(self, reason: str) -> None:
        """Say why it shall."""
        super().__init__(f"this attempt shall stop: {reason}")
        self.reason = reason


class ClaimLostError(DibsError):
    """The attempt that runs no longer owns its job; let it out, so that your transaction ends."""

    def __init__(self, job_id: int) -> None:
        """Name the `job_id` of the attempt."""
        super().__init__(
            f"job {job_id} no longer belongs to this attempt: it was rescued or has ended; "
            "roll your transaction back, and let this error out of the handler"
        )
        self.job_id = job_id


class KeyInUseError(DibsError):
    """A dead letter cannot be replayed: another job holds its unique key."""

    def __init__(self, job_id: int, holder: int | None) -> None:
        """Name the dead letter, and the job that holds its key, if it still does."""
        by = (
            "was held until this moment: try again"
            if holder is None
            else f"is held by job {holder}"
        )
        wait = "" if holder is None else "; replay it when that one has ended, or purge it"
        super().__init__(f"cannot replay job {job_id}: its unique key {by}{wait}")
        self.job_id = job_id
        self.holder = holder


class StoreError(DibsError):
    """The database refused an operation or could not be reached."""


class StoreUnavailableError(StoreError):
    """The database cannot be reached, is locked by others, or its disk is full; try again later."""
