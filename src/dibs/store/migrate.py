"""Create and upgrade the tables: numbered migrations, equal numbers on both engines."""

from __future__ import annotations

from dibs.errors import SchemaError
from dibs.store.catalog import MIGRATION, migrations
from dibs.store.statement import Statement, Steps, operation


def newest(engine: str) -> int:
    """Return the number of the newest migration this code knows."""
    return migrations(engine)[-1][0]


@operation()
def schema_migrate(engine: str, display: str) -> Steps[list[str]]:
    """Run the migrations that are missing, one process at a time; return their names.

    Raises:
        SchemaError: the tables are newer than this code.
    """
    yield Statement("schema_lock", {})
    yield Statement("schema_create", {})
    version = (yield Statement("schema_version", {}))[0][0] or 0
    check_version(version, engine, display)
    ran = []
    for number, name, _ in migrations(engine):
        if number > version:
            yield Statement(MIGRATION.format(number), {})
            yield Statement("schema_applied", {"version": number, "name": name})
            ran.append(f"{number:04d}_{name}")
    return ran


@operation(reads=True)
def schema_version() -> Steps[int]:
    """Return the number of the newest migration that ran, 0 without tables."""
    if not (yield Statement("schema_exists", {})):
        return 0
    return (yield Statement("schema_version", {}))[0][0] or 0


def check_version(version: int, engine: str, display: str) -> bool:
    """Return whether the tables are up to date.

    Raises:
        SchemaError: the tables are newer than this code.
    """
    if version > newest(engine):
        raise SchemaError(
            f"the tables in {display} are at version {version}, but this dibs knows only "
            f"{newest(engine)}; upgrade dibs (pip install -U dibs)"
        )
    return version == newest(engine)
