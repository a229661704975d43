"""The pipeline: the parts of a running worker, made and joined."""

from __future__ import annotations

import time
from collections.abc import Callable, Collection
from dataclasses import dataclass

from dibs.client.client import Client
from dibs.model.slots import Slots
from dibs.services.base import Service
from dibs.services.cancels import Cancels
from dibs.services.pauses import Pauses
from dibs.services.promote import Promote
from dibs.services.prune import Prune
from dibs.services.rescue import Rescue
from dibs.services.schedules import Schedules
from dibs.services.stalls import Stalls
from dibs.store import Store
from dibs.store.ops.workers import worker_beat
from dibs.store.statement import Operation
from dibs.worker.dispatch import Dispatcher
from dibs.worker.fetch import Fetcher
from dibs.worker.heartbeat import Heartbeat
from dibs.worker.options import WorkerOptions
from dibs.worker.recycling import Recycling
from dibs.worker.settle import Settler
from dibs.worker.turns import Turns


@dataclass(slots=True)
class Pipeline:
    """The parts of a running worker."""

    store: Store
    heartbeat: Heartbeat
    dispatcher: Dispatcher
    fetcher: Fetcher
    settler: Settler
    promote: Promote
    schedules: Schedules
    turns: Turns
    others: tuple[Service, ...]

    def services(self) -> tuple[Service, ...]:
        """Return every loop."""
        loops = (self.settler, self.fetcher, self.promote, self.schedules, self.turns)
        return (*loops, *self.others)


def make_pipeline(
    worker: str,
    client: Client,
    options: WorkerOptions,
    store: Store,
    recycle: Callable[[str], None],
) -> Pipeline:
    """Make the parts of `worker` on the running loop, and join them; nothing runs yet.

    Args:
        worker: its id.
        client: whose handlers it runs.
        options: as its maker gave them.
        store: where it claims and settles.
        recycle: called with the reason when a fresh worker should take its place.
    """
    handlers, settings, serving = client.handlers, client.settings, options.serving
    settler = Settler(store, handlers)
    slots = Slots(options.concurrency, options.reserve)
    dispatcher = Dispatcher(handlers, slots, settings.max_crashes, settler)
    heartbeat = _heartbeat(worker, client, options, store, dispatcher)
    fair = [name for name, policy in client.queues.declared.items() if policy.fair is not None]
    turns = Turns(store, serving.queues, fair, limited=bool(client.limits.declared))
    fetcher = Fetcher(
        store, worker, serving, list(handlers), dispatcher, settler.held, turns, heartbeat.holds,
        options.poll,
    )  # fmt: skip
    settler.on_ready, turns.on_ready = fetcher.offer, fetcher.readied
    dispatcher.on_room = fetcher.room
    others = (
        Rescue(store, settings, fetcher.nudge),
        Stalls(store, serving, settings),
        Cancels(store, worker, lambda: not dispatcher.idle, dispatcher.call_off),
        Pauses(store, fetcher.resumed),
        Prune(store),
        _recycling(options, dispatcher, recycle),
    )

    def promoted(queues: Collection[str]) -> None:
        fetcher.offer(queues)
        turns.nudge()  # what has limits is not ready yet

    promote = Promote(store, promoted)

    def fired() -> None:
        fetcher.nudge()
        promote.poke()  # what has jitter is not ready yet

    schedules = Schedules(store, fired)
    return Pipeline(
        store, heartbeat, dispatcher, fetcher, settler, promote, schedules, turns, others
    )


def _heartbeat(
    worker: str, client: Client, options: WorkerOptions, store: Store, dispatcher: Dispatcher
) -> Heartbeat:
    kinds, lease = list(client.handlers), client.settings.lease
    wall_clock = client.clock or (lambda: time.time_ns() // 1000)

    def beat() -> Operation[None]:
        return worker_beat(
            worker, options.serving, kinds, options.concurrency, options.reserve, lease,
            dispatcher.runs.leaked, heartbeat.ages(), wall_clock(),
        )  # fmt: skip

    heartbeat = Heartbeat(store, client.settings, beat)
    return heartbeat


def _recycling(
    options: WorkerOptions, dispatcher: Dispatcher, recycle: Callable[[str], None]
) -> Recycling:
    recycling = Recycling(options.limits, recycle)
    dispatcher.runs.on_leak = recycling.leaked
    dispatcher.on_ended = recycling.ended if recycling.counts else None
    return recycling
