"""dibs: the job queue in the database you already have; the most urgent job has first dibs."""

from dibs.app import Dibs
from dibs.client.context import JobContext
from dibs.client.handler import Handler
from dibs.doctor.finding import Check, Diagnosis, Finding, Level
from dibs.errors import (
    ClaimLostError,
    ConfigurationError,
    DibsError,
    DuplicateJobError,
    InvalidArgsError,
    InvalidCronError,
    InvalidJobError,
    InvalidScheduleError,
    JobNotFoundError,
    JobStateError,
    KeyInUseError,
    MissingDependencyError,
    ScheduleExistsError,
    ScheduleNotFoundError,
    SchemaError,
    StopRequestedError,
    StoreError,
    StoreUnavailableError,
    UnknownKindError,
)
from dibs.explain.explanation import Explanation
from dibs.insights import Stats
from dibs.model.aging import Aging
from dibs.model.backoff import Backoff
from dibs.model.dead import DeadFilter, DeadLetter, DeadResult, Note, Refused
from dibs.model.fair import Fair
from dibs.model.job import AttemptOutcome, DeadReason, Job, Priority, State
from dibs.model.limits import Limit
from dibs.model.pauses import Pause
from dibs.model.queues import QueuePolicy
from dibs.model.retention import Retention
from dibs.model.retry import Retry
from dibs.model.returns import Cancel, GiveUp, RetryAfter, Snooze
from dibs.model.schedule import ScheduleSpec
from dibs.model.ticks import Missed, Overlap, TickOutcome
from dibs.model.timing import Timing
from dibs.model.unique import Unique
from dibs.model.verdicts import Verdict
from dibs.store.ops.limit_keys import KeyUse
from dibs.store.ops.limit_rules import LimitRecord
from dibs.store.ops.pauses import Kind
from dibs.store.ops.queues import Queue
from dibs.store.ops.schedules import Schedule
from dibs.store.ops.ticks import Tick
from dibs.worker.worker import Worker

__all__ = [
    "Aging",
    "AttemptOutcome",
    "Backoff",
    "Cancel",
    "Check",
    "ClaimLostError",
    "ConfigurationError",
    "DeadFilter",
    "DeadLetter",
    "DeadReason",
    "DeadResult",
    "Diagnosis",
    "Dibs",
    "DibsError",
    "DuplicateJobError",
    "Explanation",
    "Fair",
    "Finding",
    "GiveUp",
    "Handler",
    "InvalidArgsError",
    "InvalidCronError",
    "InvalidJobError",
    "InvalidScheduleError",
    "Job",
    "JobContext",
    "JobNotFoundError",
    "JobStateError",
    "KeyInUseError",
    "KeyUse",
    "Kind",
    "Level",
    "Limit",
    "LimitRecord",
    "Missed",
    "MissingDependencyError",
    "Note",
    "Overlap",
    "Pause",
    "Priority",
    "Queue",
    "QueuePolicy",
    "Refused",
    "Retention",
    "Retry",
    "RetryAfter",
    "Schedule",
    "ScheduleExistsError",
    "ScheduleNotFoundError",
    "ScheduleSpec",
    "SchemaError",
    "Snooze",
    "State",
    "Stats",
    "StopRequestedError",
    "StoreError",
    "StoreUnavailableError",
    "Tick",
    "TickOutcome",
    "Timing",
    "Unique",
    "UnknownKindError",
    "Verdict",
    "Worker",
]
