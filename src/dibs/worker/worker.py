"""The worker: runs the pipeline, and stops it without losing anything."""

from __future__ import annotations

import asyncio
import logging
import os
import secrets
import signal
import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager

from dibs.client.client import Client
from dibs.services.base import Service
from dibs.store import Role, Store, open_store
from dibs.store.ops.declarations import Declared, schedule_declare
from dibs.store.ops.limit_rules import limit_declare
from dibs.store.ops.queues import queue_declare
from dibs.store.ops.workers import job_due, worker_leave
from dibs.telemetry import log_event
from dibs.worker.dispatch import Dispatcher
from dibs.worker.heartbeat import Heartbeat
from dibs.worker.options import WorkerOptions
from dibs.worker.pipeline import Pipeline, make_pipeline
from dibs.worker.waits import call_soon, first, within
from dibs.worker.watchdog import watchdog

logger = logging.getLogger("dibs.worker")

FAREWELL_SECONDS = 5.0
"""How long a stopping worker tries to reach a database that does not answer."""


class Worker:
    """Runs the jobs of some queues until it is told to stop; made by `app.worker(…)`."""

    def __init__(
        self,
        client: Client,
        options: WorkerOptions,
    ) -> None:
        """Prepare to run; nothing is opened before `run`."""
        self._client = client
        self._options = options
        self.queues = list(options.serving.queues)
        self.id = f"{socket.gethostname()}:{os.getpid()}:{secrets.token_hex(3)}"
        self.started = threading.Event()
        """Set once it is registered in the database and takes jobs."""
        self.recycling: str | None = None
        """Why it stopped of itself to be replaced by a fresh one; None where it was told to."""
        self._loop: asyncio.AbstractEventLoop | None = None
        self._stopping = asyncio.Event()
        self._stop_now = asyncio.Event()
        self._dispatcher: Dispatcher | None = None
        self._heartbeat: Heartbeat | None = None

    # --- Running ---------------------------------------------------------------------------

    def run(self, *, until_idle: bool = False) -> None:
        """Run until a signal or `stop()`; the first SIGTERM or SIGINT stops gracefully.

        Args:
            until_idle: also stop when nothing is left that could start now.

        Raises:
            StoreError: the database cannot be reached at the start.
            StoreUnavailableError: it could not be reached for `give_up_after`. In the main thread
                the process ends with exit code 1 where even that is impossible.
            SchemaError: its tables are missing, older or newer than this code.
        """
        self._heartbeat = None
        with watchdog(self._options.give_up_after, lambda: self._heartbeat):
            asyncio.run(self.arun(until_idle=until_idle))

    async def arun(self, *, until_idle: bool = False) -> None:
        """Like `run`, inside a running event loop."""
        self._loop = asyncio.get_running_loop()
        self.recycling = None
        store = open_store(self._client.url, Role.WORKER, clock=self._client.clock)
        try:
            with self._signals():
                await self._live(self._assemble(store), until_idle=until_idle)
        finally:
            # An event belongs to one loop; the next run has another.
            self._stopping, self._stop_now = asyncio.Event(), asyncio.Event()
            self._loop = self._dispatcher = None
            await store.aclose()

    def stop(self) -> None:
        """Stop gracefully: claim no more, let running jobs finish within the grace time.

        A second call ends at once: what still runs goes back to its queue. May be called from
        any thread, and before the worker runs.
        """
        loop = self._loop
        if loop is None or loop.is_closed():
            self._stop()
        else:
            loop.call_soon_threadsafe(self._stop)

    def _stop(self) -> None:
        if self._stopping.is_set() and self.recycling is None:
            self._stop_now.set()
        self.recycling = None  # nobody wants another worker in its place
        self._claim_no_more()

    def _recycle(self, reason: str) -> None:
        if not self._stopping.is_set():
            self.recycling = reason
            log_event(
                logger, logging.INFO, "worker_recycling",
                f"worker {self.id} makes room for a fresh one: {reason}",
                worker=self.id, reason=reason,
            )  # fmt: skip
            self._claim_no_more()

    def _claim_no_more(self) -> None:
        self._stopping.set()
        if self._dispatcher is not None:
            self._dispatcher.close()

    def _assemble(self, store: Store) -> Pipeline:
        parts = make_pipeline(self.id, self._client, self._options, store, self._recycle)
        self._dispatcher, self._heartbeat = parts.dispatcher, parts.heartbeat
        if self._stopping.is_set():
            parts.dispatcher.close()
        return parts

    async def _live(self, parts: Pipeline, *, until_idle: bool) -> None:
        loop = asyncio.get_running_loop()
        await self._declare(parts.store)
        await parts.schedules.catch_up()
        await parts.promote.catch_up()
        await asyncio.to_thread(parts.heartbeat.start)

        def nudged() -> None:
            parts.fetcher.nudge()
            parts.promote.poke()
            parts.turns.nudge()

        serving = self._options.serving
        watch = parts.store.watch(serving, lambda: call_soon(loop, nudged))
        parts.fetcher.follow(watch)
        log_event(
            logger, logging.INFO, "worker_started", f"worker {self.id} serves {self.queues}",
            worker=self.id, queues=self.queues, concurrency=self._options.concurrency,
            lowest=serving.lowest, highest=serving.highest, weights=dict(serving.weights),
            reserve=dict(self._options.reserve),
        )  # fmt: skip
        self.started.set()
        tasks = {service: asyncio.create_task(service.run()) for service in parts.services()}
        parts.heartbeat.follow({s.name: s.pulse for s in tasks} | {"watch": watch.pulse})
        ends = [self._stopping.wait(), parts.heartbeat.cut_off(self._options.give_up_after)]
        try:
            await first(*ends, *([self._idle(parts)] if until_idle else []))
        finally:
            await self._end(parts, tasks)
            await asyncio.to_thread(watch.close)

    async def _declare(self, store: Store) -> None:
        """Store what the code says of queues, limits and schedules."""
        client = self._client
        if declared := client.queues.declared:
            await store.arun(queue_declare(declared))
        if rules := client.limits.declared:
            await store.arun(limit_declare(rules))
        done = await store.arun(schedule_declare(client.schedules.declared, list(client.handlers)))
        if done != Declared():
            log_event(
                logger, logging.INFO, "schedules_declared",
                f"the code adds {done.added}, changes {done.changed}, removes {done.removed}",
                added=done.added, changed=done.changed, removed=done.removed,
            )  # fmt: skip

    @staticmethod
    async def _idle(parts: Pipeline) -> None:
        """Wait until nothing is held and nothing is left that could start now."""
        while True:
            await parts.dispatcher.emptied()
            await parts.settler.emptied()
            if not await parts.fetcher.ask():
                continue
            due = await parts.store.arun(job_due())
            if parts.dispatcher.idle and (due is None or due > 0):
                return

    # --- Stopping --------------------------------------------------------------------------

    async def _end(self, parts: Pipeline, tasks: dict[Service, asyncio.Task[None]]) -> None:
        # Jobs whose ends nobody can store need no time to finish.
        grace = 0.0 if parts.heartbeat.gave_up else self._options.grace
        log_event(
            logger, logging.INFO, "worker_stopping",
            f"worker {self.id} claims no more; running jobs have {grace:g} s to finish",
            worker=self.id,
        )  # fmt: skip
        parts.dispatcher.close()
        await _finish_claiming(parts, tasks[parts.fetcher])
        await first(parts.dispatcher.finish(grace), self._stop_now.wait())
        interrupted = await parts.dispatcher.interrupt()
        settled = await within(FAREWELL_SECONDS, parts.settler.emptied())
        for service, task in tasks.items():
            service.close()  # a cancellation that meets a driver at work may be swallowed
            task.cancel()
        await asyncio.gather(*tasks.values(), return_exceptions=True)
        await asyncio.to_thread(parts.heartbeat.stop, FAREWELL_SECONDS)
        if settled:
            await self._leave(parts.store)
        log_event(
            logger, logging.INFO, "worker_stopped", f"worker {self.id} stopped",
            worker=self.id, interrupted=interrupted, settled=settled,
        )  # fmt: skip

    async def _leave(self, store: Store) -> None:
        try:
            await asyncio.wait_for(store.arun(worker_leave(self.id)), FAREWELL_SECONDS)
        except Exception as error:
            log_event(logger, logging.DEBUG, "worker_leave_failed", str(error), worker=self.id)

    @contextmanager
    def _signals(self) -> Iterator[None]:
        """Let SIGTERM and SIGINT stop the worker, where it runs in the main thread."""
        loop = asyncio.get_running_loop()
        if threading.current_thread() is not threading.main_thread():
            yield
            return
        for number in (signal.SIGTERM, signal.SIGINT):
            loop.add_signal_handler(number, self._stop)
        try:
            yield
        finally:
            for number in (signal.SIGTERM, signal.SIGINT):
                loop.remove_signal_handler(number)


async def _finish_claiming(parts: Pipeline, fetching: asyncio.Task[None]) -> None:
    """End the fetcher; a claim under way is waited for, so that no claimed job is forgotten."""
    parts.fetcher.close()
    await asyncio.wait({fetching}, timeout=FAREWELL_SECONDS)
