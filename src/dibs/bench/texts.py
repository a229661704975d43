"""The texts that bare drivers execute: the catalogue's own, and the benchmark's beside them."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from importlib.resources import files

from dibs.store.catalog import PARAM, Catalog, Step, parse


def bench_texts(engine: str, now: str | None, placeholder: Callable[[str], str]) -> Catalog:
    """Return the benchmark's statements in a driver's placeholder style.

    Args:
        engine: `sqlite` or `postgres`.
        now: SQL for the database's clock, or None to bind `:now` as a parameter.
        placeholder: the driver's placeholder for a parameter's name.
    """

    def spelled(step: Step) -> Step:
        sql = PARAM.sub(
            lambda hit: now if hit[1] == "now" and now is not None else placeholder(hit[1]),
            step.sql,
        )
        return dataclasses.replace(step, sql=sql)

    texts: Catalog = {}
    for name in ("shared.sql", f"{engine}.sql"):
        text = (files("dibs.bench") / "sql" / name).read_text("utf-8")
        texts |= {name: tuple(map(spelled, steps)) for name, _, steps in parse(text)}
    return texts
