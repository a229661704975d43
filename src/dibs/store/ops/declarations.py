"""What code declares of schedules: stored, changed and removed when a worker starts.

Apps with different code may share a database. Each speaks for the kinds it has handlers for: it
adds and changes what it declares, and removes what was declared of these kinds and no longer is.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass, field, replace

from dibs.model.schedule import ScheduleSpec, spec_to_json
from dibs.store.ops.schedules import Record, add, spec_of, write
from dibs.store.statement import Statement, Steps, operation


@dataclass(frozen=True, slots=True)
class Declared:
    """What a worker's start has changed, by name."""

    added: list[str] = field(default_factory=list)
    changed: list[str] = field(default_factory=list)
    removed: list[str] = field(default_factory=list)


@operation()
def schedule_declare(specs: Mapping[str, ScheduleSpec], kinds: Collection[str]) -> Steps[Declared]:
    """Store what code declares, and remove what it has declared before; say what changed.

    Args:
        specs: by name.
        kinds: those that the code has handlers for: it speaks for their schedules alone.
    """
    texts = {name: spec_to_json(spec) for name, spec in specs.items()}
    rows = yield Statement("schedule_list", {})
    if not _differences({row[0]: Record(*row) for row in rows}, texts, kinds):
        return Declared()
    rows = yield Statement("schedule_lock", {"name": None})
    [[now]] = yield Statement("stats_clock", {})
    found = {row[0]: Record(*row) for row in rows}
    done = Declared()
    for name in _differences(found, texts, kinds):
        before, text = found.get(name), texts.get(name)
        if before is None:
            new = yield from add(name, specs[name], now, declared=text, configured=None)
            done.added.extend([name] if new else [])
        elif text is None and before.configured is None:
            yield Statement("schedule_delete", {"name": name})
            done.removed.append(name)
        else:
            after = replace(before, declared=text, spec=before.configured or text or before.spec)
            yield from write(after.timed(before, now))
            done.changed.append(name)
    return done


def _differences(
    found: Mapping[str, Record], texts: Mapping[str, str], kinds: Collection[str]
) -> list[str]:
    """Return the names of schedules that are not as code declares them.

    What a person paused is not removed: it does nothing, and a deployment that takes the code out
    and puts it back again must not end the pause.
    """
    wrong = {
        name for name, text in texts.items() if name not in found or found[name].declared != text
    }
    for name, record in found.items():
        spec = spec_of(record.declared)
        if name not in texts and spec is not None and spec.kind in kinds:
            wrong |= {name} if record.paused_at is None or record.configured is not None else set()
    return sorted(wrong)
