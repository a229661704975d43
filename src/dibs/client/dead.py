"""`app.dead`: the dead letters: finding them, noting on them, replaying and purging them."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any, Unpack

from dibs.client.dead_batches import (
    Ids,
    Progress,
    all_that_match,
    check_author,
    chosen_by,
    each,
    nudging,
    purging,
    replaying,
    reviewing,
)
from dibs.client.faces import Batches, async_batches, async_face, sync_batches, sync_face
from dibs.client.jobs import check_id, check_limit
from dibs.errors import DibsError
from dibs.model.dead import (
    DeadFilters,
    DeadLetter,
    DeadResult,
    check_text,
    make_filter,
    spread,
)
from dibs.model.job import Job
from dibs.model.uses import Use
from dibs.store.ops import dead
from dibs.store.ops.dead import END, Changed
from dibs.store.ops.dead_edited import Edit, dead_replay_edited
from dibs.store.runner import Runner
from dibs.store.statement import Operation

if TYPE_CHECKING:
    from dibs.client.client import Client


class Dead:
    """The dead letters of an app; every method has an a… twin for async code."""

    def __init__(self, client: Client) -> None:
        """Look at the dead letters in the client's database."""
        self._client = client

    @property
    def _runner(self) -> Runner:
        return self._client.store

    # --- Looking ---------------------------------------------------------------------------

    def _list(
        self,
        *,
        limit: int = 100,
        after: DeadLetter | None = None,
        **filters: Unpack[DeadFilters],
    ) -> Operation[list[DeadLetter]]:
        """Return dead letters, those that died last first.

        Args:
            limit: how many at most, 1 to 10,000. Default 100.
            after: the last letter of the page before; the list goes on behind it, also if it has
                been replayed or purged meanwhile. Default the beginning.
            filters: `kind`, `queue`, `reason`, `error`, `died_before`, `died_after`, `reviewed`;
                see `DeadFilters`. Default all.

        Raises:
            DibsError: a filter that is unknown or cannot be, or a limit out of range.

        Example:
            >>> app.dead.list(kind="send_confirmation", error="timed out", reviewed=False)
        """
        if after is not None and not isinstance(after, DeadLetter):
            raise DibsError(f"after={after!r}: expected the last DeadLetter of the page before")
        before = END if after is None else dead.cursor_of(after)
        return dead.dead_list(make_filter(filters), check_limit(limit), before)

    def _count(self, **filters: Unpack[DeadFilters]) -> Operation[int]:
        """Return how many dead letters there are; filters as in `list`.

        Raises:
            DibsError: a filter that is unknown or cannot be.
        """
        return dead.dead_count(make_filter(filters))

    def _get(self, job_id: int) -> Operation[DeadLetter]:
        """Return one dead letter.

        Raises:
            JobNotFoundError: no job has this id.
            JobStateError: the job is not dead.
        """
        return dead.dead_get(check_id(job_id))

    # --- Noting ----------------------------------------------------------------------------

    def _annotate(
        self, job_id: int, text: str, *, author: str | None = None
    ) -> Operation[DeadLetter]:
        """Add a note to a dead letter, and return the letter.

        Args:
            job_id: which one.
            text: the note, up to 10,000 characters.
            author: who wrote it. Default nobody in particular.

        Raises:
            JobNotFoundError: no job has this id.
            JobStateError: the job is not dead.
            DibsError: a text that is empty, too long, or that no database stores.
        """
        return dead.dead_annotate(check_id(job_id), check_text(text, "note"), check_author(author))

    def _review(
        self, job_ids: Ids, *, author: str | None = None, note: str | None = None
    ) -> Batches[DeadResult]:
        """Mark dead letters as reviewed.

        Args:
            job_ids: one id, or several.
            author: who reviewed them. Default nobody in particular.
            note: added to each. Default none.

        Returns:
            With how many it was done, and which were refused, and why.

        Raises:
            JobNotFoundError: one id was given, and no job has it.
            JobStateError: one id was given, and this job is not dead.
            DibsError: something that is no id, or a text that cannot be stored.
        """
        return (yield from each(job_ids, reviewing(True, author, note)))

    def _review_all(
        self,
        *,
        author: str | None = None,
        note: str | None = None,
        everything: bool = False,
        progress: Progress | None = None,
        **filters: Unpack[DeadFilters],
    ) -> Batches[DeadResult]:
        """Mark all dead letters that match as reviewed; options as in `review` and `replay_all`."""
        chosen = chosen_by("review_all", filters, everything)
        return (yield from all_that_match(chosen, reviewing(True, author, note), progress))

    def _unreview(self, job_ids: Ids) -> Batches[DeadResult]:
        """Mark dead letters as not reviewed; what it returns and raises is as in `review`."""
        return (yield from each(job_ids, reviewing(False, None, None)))

    # --- Replaying -------------------------------------------------------------------------

    def _replay(
        self,
        job_ids: Ids,
        *,
        args: Mapping[str, Any] | None = None,
        per_minute: int | None = None,
    ) -> Batches[DeadResult]:
        """Give dead letters new attempts; they keep their ids, and what is known of them.

        Args:
            job_ids: one id, or several.
            args: other args by name, for one letter; checked as when it is enqueued. The unique
                key and the limits that its kind declares follow them. Default those that it has.
            per_minute: at most so many start in a minute; the others are scheduled, one after
                the other. Default all at once.

        Returns:
            How many were replayed, and which were refused, and why: `JobNotFoundError`,
            `JobStateError`, or `KeyInUseError` where another job holds their unique key.

        Raises:
            JobNotFoundError: one id was given, and no job has it.
            JobStateError: one id was given, and this job is not dead.
            KeyInUseError: one id was given, and another job holds its unique key.
            UnknownKindError: args were given, and no handler is registered for the job's kind.
            InvalidArgsError: the args don't fit the handler's annotations; nothing was changed.
            DibsError: something that is no id, args for several, or a number out of its range.

        Example:
            >>> app.dead.replay(7, args={"order_id": 1, "email": "right@example.com"})
            DeadResult(done=1, refused=())
        """
        gap = spread(per_minute)
        if args is not None:
            if not isinstance(job_ids, int):
                raise DibsError("args are for one dead letter: give its id alone")
            return (yield from each(job_ids, lambda ids, *_: self._edited(ids[0], args)))
        base = (yield dead.dead_latest())[1] if gap else 0
        return (yield from each(job_ids, replaying(base, gap)))

    def _replay_all(
        self,
        *,
        per_minute: int | None = None,
        everything: bool = False,
        progress: Progress | None = None,
        **filters: Unpack[DeadFilters],
    ) -> Batches[DeadResult]:
        """Give all dead letters that match new attempts, the oldest first.

        Works in batches of up to 1,000, each a transaction of its own. What dies meanwhile is left.

        Args:
            per_minute: as in `replay`.
            everything: has to be True where no filter is given.
            progress: called after each batch, with how many letters it dealt with.
            filters: as in `list`.

        Returns:
            How many were replayed, and which were refused, since other jobs hold their keys.

        Raises:
            DibsError: a filter that is unknown or cannot be, no filter without `everything`, or a
                number out of its range.

        Example:
            >>> app.dead.replay_all(kind="charge", error="gateway timeout", per_minute=600)
        """
        gap, chosen = spread(per_minute), chosen_by("replay_all", filters, everything)
        base = (yield dead.dead_latest())[1] if gap else 0
        return (yield from all_that_match(chosen, replaying(base, gap), progress))

    def _edited(self, job_id: int, args: Mapping[str, Any]) -> Operation[Changed]:
        def edit(job: Job, uses: Sequence[Use]) -> Edit:
            handler = self._client.handler_of(job.kind)
            new = handler.schema.dump(args)
            cost = max((use.cost for use in uses), default=handler.options.cost)
            made = self._client.new_job(handler.using(cost=cost), new)
            was, key = (handler.key_of(job.queue, one) for one in (json.dumps(job.args), new))
            return Edit(made.args, was, key, made.limits)

        return nudging(dead_replay_edited(job_id, edit))

    # --- Purging ---------------------------------------------------------------------------

    def _purge(self, job_ids: Ids) -> Batches[DeadResult]:
        """Remove dead letters for good, with their attempts, notes, effects and keys.

        Args:
            job_ids: one id, or several.

        Returns:
            How many were removed, and which were refused, and why.

        Raises:
            JobNotFoundError: one id was given, and no job has it.
            JobStateError: one id was given, and this job is not dead.
            DibsError: something that is no id.
        """
        return (yield from each(job_ids, purging))

    def _purge_all(
        self,
        *,
        everything: bool = False,
        progress: Progress | None = None,
        **filters: Unpack[DeadFilters],
    ) -> Batches[DeadResult]:
        """Remove all dead letters that match for good; options as in `replay_all`."""
        return (
            yield from all_that_match(
                chosen_by("purge_all", filters, everything), purging, progress
            )
        )

    list = sync_face(_list)
    alist = async_face(_list)
    count = sync_face(_count)
    acount = async_face(_count)
    get = sync_face(_get)
    aget = async_face(_get)
    annotate = sync_face(_annotate)
    aannotate = async_face(_annotate)
    review = sync_batches(_review)
    areview = async_batches(_review)
    review_all = sync_batches(_review_all)
    areview_all = async_batches(_review_all)
    unreview = sync_batches(_unreview)
    aunreview = async_batches(_unreview)
    replay = sync_batches(_replay)
    areplay = async_batches(_replay)
    replay_all = sync_batches(_replay_all)
    areplay_all = async_batches(_replay_all)
    purge = sync_batches(_purge)
    apurge = async_batches(_purge)
    purge_all = sync_batches(_purge_all)
    apurge_all = async_batches(_purge_all)
