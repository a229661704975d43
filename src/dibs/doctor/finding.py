"""What the doctor says: one finding for each thing that was looked at, and what to do."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum


class Level(StrEnum):
    """How bad it is."""

    OK = "ok"
    """All is well."""
    WARNING = "warning"
    """Jobs run; this may slow them down, or become a problem."""
    PROBLEM = "problem"
    """Jobs don't run, or won't for long."""


class Check(StrEnum):
    """What was looked at: the stable code of a finding."""

    DATABASE = "database"
    """Can it be reached, and written?"""
    SCHEMA = "schema"
    """Are the tables those that this dibs needs?"""
    WORKERS = "workers"
    """Are there any, and did one fall silent?"""
    LOOPS = "loops"
    """Does every loop of every worker go on?"""
    QUEUES = "queues"
    """Does a worker serve every queue in which jobs wait?"""
    KINDS = "kinds"
    """Does a worker know every kind of job that waits?"""
    PRIORITIES = "priorities"
    """Does a worker take every priority of jobs that wait?"""
    PAUSES = "pauses"
    """Is something paused for long, while its jobs wait?"""
    SCHEDULES = "schedules"
    """Are schedules fired in time, and can they be?"""
    CLOCK = "clock"
    """Do the clocks of workers, of this machine and of the database agree?"""
    HORIZON = "horizon"
    """Does somebody hold back the clean-up of deleted rows?"""
    DEAD_ROWS = "dead_rows"
    """Are deleted rows cleaned up?"""
    AUTOVACUUM = "autovacuum"
    """Is autovacuum on?"""
    CONNECTIONS = "connections"
    """Are there connections left?"""
    JOURNAL_MODE = "journal_mode"
    """Is the file in WAL mode?"""
    FILE_SYSTEM = "file_system"
    """Is the file on a disk of this machine?"""
    WAL_SIZE = "wal_size"
    """Is the write-ahead log moved to the file?"""
    FREE_PAGES = "free_pages"
    """How much of the file is unused?"""
    DISK = "disk"
    """Is there space on the disk?"""


@dataclass(frozen=True, slots=True)
class Finding:
    """One thing that was looked at."""

    code: Check
    level: Level
    message: str
    """What was found, with the values."""
    advice: str = ""
    """What to do; empty where all is well."""


SEVERITY = (Level.PROBLEM, Level.WARNING, Level.OK)


@dataclass(frozen=True, slots=True)
class Diagnosis:
    """All that the doctor found, the worst first."""

    at: datetime
    """When it looked, by this machine's clock."""
    database: str
    """Its URL, without the password."""
    findings: list[Finding]

    @property
    def healthy(self) -> bool:
        """Whether there is no problem; warnings don't count."""
        return all(finding.level is not Level.PROBLEM for finding in self.findings)

    @property
    def summary(self) -> str:
        """How many findings there are of each level."""
        count = Counter(finding.level for finding in self.findings)
        parts = [
            f"{count[level]} {level}{'s' if count[level] != 1 and level is not Level.OK else ''}"
            for level in SEVERITY
            if count[level]
        ]
        return ", ".join(parts)


def ok(code: Check, message: str) -> Finding:
    """Return that all is well."""
    return Finding(code, Level.OK, message)


def warning(code: Check, message: str, advice: str) -> Finding:
    """Return what may become a problem."""
    return Finding(code, Level.WARNING, message, advice)


def problem(code: Check, message: str, advice: str) -> Finding:
    """Return what keeps jobs from running."""
    return Finding(code, Level.PROBLEM, message, advice)


def graded(bad: bool, code: Check, message: str, advice: str) -> Finding:
    """Return a problem where it is `bad`, else a warning."""
    return Finding(code, Level.PROBLEM if bad else Level.WARNING, message, advice)
