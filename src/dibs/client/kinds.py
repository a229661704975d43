"""`app.kinds`: pausing and resuming kinds of jobs."""

from __future__ import annotations

from datetime import datetime
from typing import TYPE_CHECKING

from dibs.client.faces import async_face, sync_face
from dibs.model.job import check_name
from dibs.model.pauses import make_pause
from dibs.model.times import Duration
from dibs.store.ops import pauses
from dibs.store.ops.pauses import Kind
from dibs.store.runner import Runner
from dibs.store.statement import Operation

if TYPE_CHECKING:
    from dibs.client.client import Client


class Kinds:
    """The kinds of an app; every method has an a… twin for async code."""

    def __init__(self, client: Client) -> None:
        """Look at the kinds in the client's database."""
        self._client = client

    @property
    def _runner(self) -> Runner:
        return self._client.store

    def _pause(
        self,
        name: str,
        *,
        reason: str | None = None,
        author: str | None = None,
        until: datetime | None = None,
        lasting: Duration | None = None,
    ) -> Operation[Kind]:
        """Have no job of a kind start from now on, on any worker, whatever its queue.

        As with `app.queues.pause`, what runs goes on, and jobs can be enqueued. Jobs of the kind
        that a worker meets step aside, so they hold up no other kind.

        Args:
            name: of the kind.
            reason: shown with it. Default none.
            author: who pauses it. Default nobody is named.
            until: an aware moment at which it is resumed by itself. Default never.
            lasting: seconds or timedelta after which it is, instead of `until`.

        Raises:
            InvalidJobError: something that can't be a kind's name, or `until` is no aware
                datetime, or given together with `lasting`.
            ConfigurationError: `lasting` is no length of time, or shorter than 0.001 seconds.
            DibsError: the reason or `author` is no text that both engines can store.

        Example:
            >>> app.kinds.pause("send_mail", reason="the template is broken", author="ann")
        """
        pause = make_pause(reason, author, until, lasting)
        return pauses.kind_pause(check_name(name, "kind"), pause)

    def _resume(self, name: str) -> Operation[Kind]:
        """Let jobs of a kind start again, within a second; one that is not paused stays as it is.

        Raises:
            InvalidJobError: something that can't be a kind's name.
        """
        return pauses.kind_resume(check_name(name, "kind"))

    def _get(self, name: str) -> Operation[Kind]:
        """Return a kind, with its pause if it is paused.

        Raises:
            InvalidJobError: something that can't be a kind's name.
        """
        return pauses.kind_get(check_name(name, "kind"))

    def _list(self) -> Operation[list[Kind]]:
        """Return the kinds that are paused, by name."""
        return pauses.kind_list()

    pause = sync_face(_pause)
    apause = async_face(_pause)
    resume = sync_face(_resume)
    aresume = async_face(_resume)
    get = sync_face(_get)
    aget = async_face(_get)
    list = sync_face(_list)
    alist = async_face(_list)
