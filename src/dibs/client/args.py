"""Typed args: a handler's annotations are the schema of its payload.

Args are validated by pydantic when a job is enqueued (the caller gets the error and nothing is
stored) and again when it runs. They are stored as JSON; dates, decimals, UUIDs, enums, bytes,
dataclasses and pydantic models survive the round trip. Nothing is ever pickled.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable, Mapping
from datetime import date, datetime
from decimal import Decimal
from typing import Annotated, Any, NotRequired, Required, get_args, get_type_hints
from uuid import UUID

from pydantic import ConfigDict, GetCoreSchemaHandler, TypeAdapter, ValidationError
from pydantic_core import (
    CoreConfig,
    CoreSchema,
    PydanticSerializationError,
    SchemaSerializer,
    SchemaValidator,
)
from typing_extensions import TypedDict

from dibs.client.context import JobContext
from dibs.errors import ConfigurationError, InvalidArgsError
from dibs.model.limits import Limit

SHOWN_ERRORS = 3
PLAIN_SIZE = 4_000
PLAIN_DEPTH = 100
"""Plain args of fewer characters, and fewer brackets, can surely be read back."""

JSON_FORM: CoreConfig = {
    "ser_json_bytes": "base64",
    "val_json_bytes": "base64",
    "ser_json_inf_nan": "strings",
}
"""How values that JSON lacks are written and read."""

PLAIN = (Any, bool, bytes, date, datetime, Decimal, float, int, str, UUID)
"""Annotations whose values load again, whatever they are."""


class ArgsSchema:
    """The payload of one kind, read off its handler's signature."""

    def __init__(self, handler: Callable[..., Any], kind: str) -> None:
        """Read the signature of `handler`.

        Raises:
            ConfigurationError: an annotation can't be resolved or can't be stored as JSON, or
                the handler takes positional-only or `*args` parameters.
        """
        self._kind = kind
        self._signature = inspect.signature(handler)
        self.context_parameter: str | None = None
        self.limits: dict[str, list[Limit]] = {}
        """The limits that stand in annotations, by arg."""
        fields: dict[str, Any] = {}
        extra: Any = None
        hints = _hints(handler, kind)
        for name, parameter in self._signature.parameters.items():
            annotation = hints.get(name, Any)
            if annotation is JobContext or JobContext in get_args(annotation):
                self.context_parameter = name
            elif parameter.kind is parameter.VAR_KEYWORD:
                extra = annotation
            elif parameter.kind in {parameter.POSITIONAL_ONLY, parameter.VAR_POSITIONAL}:
                raise ConfigurationError(
                    f"handler of {kind!r}: parameter {name!r} has no name in the stored args; "
                    "use parameters that can be passed by name"
                )
            else:
                if limits := [hint for hint in get_args(annotation) if isinstance(hint, Limit)]:
                    self.limits[name] = limits
                required = parameter.default is parameter.empty
                fields[name] = Required[annotation] if required else NotRequired[annotation]
        schema = _schema(kind, fields, extra)
        self._validator = SchemaValidator(schema, JSON_FORM)
        self._serializer = SchemaSerializer(schema, JSON_FORM)
        given = [get_args(field)[0] for field in fields.values()] + [
            Any if extra is None else extra
        ]
        self._plain = all(any(hint is plain for plain in PLAIN) for hint in given)
        parameters = [
            p for p in self._signature.parameters.values() if p.name != self.context_parameter
        ]
        self._signature = self._signature.replace(parameters=parameters)
        self._positions = [p.name for p in parameters if p.kind is p.POSITIONAL_OR_KEYWORD]
        self._known = frozenset(fields)
        self._open = extra is not None
        self._required = {
            name
            for name in fields
            if self._signature.parameters[name].default is inspect.Parameter.empty
        }

    def has(self, name: str) -> bool:
        """Return whether a job of this kind may have an arg of this name."""
        return self._open or name in self._known

    def dump_call(self, args: tuple[Any, ...], kwargs: dict[str, Any]) -> str:
        """Return the args of a call, checked, as JSON text.

        Raises:
            InvalidArgsError: they don't fit the signature or its annotations.
        """
        values = dict(zip(self._positions, args, strict=False))
        if (
            len(args) <= len(self._positions)
            and values.keys().isdisjoint(kwargs)
            and self._required <= (values | kwargs).keys() <= self._known
        ):
            return self.dump(values | kwargs)  # what bind() would say, at a tenth of its cost
        try:
            bound = self._signature.bind(*args, **kwargs)
        except TypeError as error:
            raise InvalidArgsError(
                self._kind, f"{error}; the handler takes {self._signature}"
            ) from error
        values = dict(bound.arguments)
        for parameter in self._signature.parameters.values():
            if parameter.kind is parameter.VAR_KEYWORD:
                values |= values.pop(parameter.name, {})
        return self.dump(values)

    def dump(self, values: Mapping[str, Any]) -> str:
        """Return args given by name, checked, as JSON text.

        Raises:
            InvalidArgsError: they don't fit the annotations, or are not JSON.
        """
        if not isinstance(values, Mapping):
            raise InvalidArgsError(
                self._kind, f"expected an object with the args by name, got {values!r}"
            )
        if self.context_parameter in values:
            raise InvalidArgsError(
                self._kind, f"{self.context_parameter!r} is given by the worker; leave it out"
            )
        try:
            checked = self._validator.validate_python(dict(values))
            # By alias and without computed fields, so that pydantic models load again.
            text = self._serializer.to_json(checked, by_alias=True, round_trip=True).decode()
        except ValidationError as error:
            raise InvalidArgsError(self._kind, describe(error)) from error
        except (PydanticSerializationError, RecursionError, ValueError) as error:
            raise InvalidArgsError(self._kind, f"can't be stored as JSON: {error}") from error
        # A model's own settings may write what it does not read; so may numbers of thousands of
        # digits and hundreds of nested lists.
        if not self._plain or len(text) > PLAIN_SIZE or text.count("[") > PLAIN_DEPTH:
            self.load(text)
        return text

    def load(self, text: str) -> dict[str, Any]:
        """Return stored args as the values that the handler's annotations name.

        Raises:
            InvalidArgsError: they no longer fit the annotations.
        """
        try:
            loaded: dict[str, Any] = self._validator.validate_json(text)
        except ValidationError as error:
            raise InvalidArgsError(self._kind, describe(error)) from error
        return loaded


def describe(error: ValidationError) -> str:
    """Return a validation error in one line: which arg, what was expected, what came."""
    parts = []
    for detail in error.errors(include_url=False)[:SHOWN_ERRORS]:
        name = ".".join(map(str, detail["loc"])) or "args"
        got = "" if detail["type"] == "missing" else f" (got {_short(detail['input'])})"
        parts.append(f"{name}: {detail['msg']}{got}")
    more = error.error_count() - SHOWN_ERRORS
    return "; ".join(parts) + (f"; and {more} more" if more > 0 else "")


def _short(value: object, limit: int = 60) -> str:
    text = repr(value)
    return text if len(text) <= limit else text[: limit - 1] + "…"


def _hints(handler: Callable[..., Any], kind: str) -> dict[str, Any]:
    try:
        return get_type_hints(handler, include_extras=True)
    except (NameError, TypeError) as error:
        raise ConfigurationError(
            f"handler of {kind!r}: its annotations can't be resolved: {error}; "
            "import the types it names at module level"
        ) from error


class _Rest:
    """Marks a schema of args whose further ones, for `**kwargs`, have this annotation."""

    def __init__(self, annotation: Any) -> None:
        self._annotation = annotation

    def __get_pydantic_core_schema__(
        self, source: Any, handler: GetCoreSchemaHandler
    ) -> CoreSchema:
        schema = handler(source)
        args: Any = handler.resolve_ref_schema(schema)
        args["extras_schema"] = handler.generate_schema(self._annotation)
        return schema


def _schema(kind: str, fields: dict[str, Any], extra: Any) -> CoreSchema:
    make: Any = TypedDict  # its name and fields are known only here, not to a type checker
    args = make(f"{kind}_args", fields)
    args.__pydantic_config__ = ConfigDict(
        extra="forbid" if extra is None else "allow",
        # Here for what is nested; validator and serializer are given it for the rest.
        ser_json_bytes="base64",
        val_json_bytes="base64",
        ser_json_inf_nan="strings",
    )
    try:
        adapter = TypeAdapter(args if extra is None else Annotated[args, _Rest(extra)])
    except Exception as error:  # pydantic has many ways to refuse a type
        raise ConfigurationError(
            f"handler of {kind!r}: an annotation can't be stored as JSON: {error}"
        ) from error
    schema = adapter.core_schema
    if not isinstance(schema, dict):  # pydantic's stand-in while a name is missing
        raise ConfigurationError(
            f"handler of {kind!r}: a class among its annotations names a type that is not defined; "
            "define it, or import it, at module level"
        )
    return schema
