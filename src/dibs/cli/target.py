"""What a command works on: an app, named by --app, or only a database, named by --url."""

from __future__ import annotations

import os
from collections.abc import Callable
from contextlib import AbstractContextManager, closing
from dataclasses import dataclass
from typing import Any, TypeVar

import click

from dibs.app import Dibs
from dibs.cli.failures import Misuse
from dibs.cli.importing import load_app

F = TypeVar("F", bound=Callable[..., Any])


@dataclass(slots=True)
class Target:
    """The app and the URL as they were given on the command line."""

    app: str | None = None
    url: str | None = None

    @property
    def app_name(self) -> str:
        """Where the app is, as module:attribute.

        Raises:
            Misuse: nobody said so.
        """
        name = self.app or os.environ.get("DIBS_APP")
        if self.url is not None:
            raise Misuse("this needs --app, which names its own database: leave --url out")
        if not name:
            raise Misuse(
                "which app? give --app module:attribute, for example --app shop:app, or set "
                "$DIBS_APP"
            )
        return name

    def load_app(self) -> Dibs:
        """Import the app.

        Raises:
            Misuse: it is not named, or not where its name says.
            ConfigurationError: its module cannot be imported.
        """
        return load_app(self.app_name)

    def handlers(self) -> AbstractContextManager[Dibs]:
        """Open the app, for what needs its handlers.

        Raises:
            Misuse: it is not named, or not where its name says.
            ConfigurationError: its module cannot be imported.
        """
        return closing(self.load_app())

    def database(self) -> AbstractContextManager[Dibs]:
        """Open the app, or an app without handlers where only a URL is known.

        Raises:
            Misuse: neither is named, or both.
        """
        if self.app is not None and self.url is not None:
            raise Misuse("--app names its own database: give --app or --url, not both")
        if self.url is not None:
            return closing(Dibs(self.url))
        if self.app or os.environ.get("DIBS_APP"):
            return self.handlers()
        if os.environ.get("DIBS_URL"):
            return closing(Dibs())
        raise Misuse(
            "which database? give --app module:attribute or --url URL, or set $DIBS_APP or "
            "$DIBS_URL"
        )


def app_option(command: F) -> F:
    """Add --app to a command."""
    return _target_option(
        "--app", "MODULE:ATTR", "Where the Dibs object is, for example shop:app. [env: DIBS_APP]"
    )(command)


def url_option(command: F) -> F:
    """Add --url to a command that needs only the database."""
    return _target_option("--url", "URL", "The database, in place of --app. [env: DIBS_URL]")(
        command
    )


def _target_option(flag: str, metavar: str, text: str) -> Callable[[F], F]:
    def keep(context: click.Context, option: click.Parameter, value: str | None) -> None:
        if value:  # an empty one, as from an unset shell variable, means none
            setattr(context.find_object(Target), str(option.name), value)

    return click.option(flag, metavar=metavar, help=text, expose_value=False, callback=keep)
