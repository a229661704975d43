"""Sizes of memory, as people write them."""

from __future__ import annotations

import re

from dibs.errors import ConfigurationError

MEGABYTE = 1024**2
_UNITS = {"": 1, "K": 1024, "M": MEGABYTE, "G": 1024**3}
_SIZE = re.compile(r"([0-9]{1,15}(?:\.[0-9]{1,6})?)\s*([KMG]?)(?:i?B)?", re.IGNORECASE)


def size(value: int | str, name: str) -> int:
    """Return a size, given in bytes or as text, in bytes; K, M and G are powers of 1024.

    Raises:
        ConfigurationError: neither, or below one byte.

    Example:
        >>> size("512MB", "max_memory")
        536870912
    """
    if isinstance(value, int) and not isinstance(value, bool) and value > 0:
        return value
    found = _SIZE.fullmatch(value.strip()) if isinstance(value, str) else None
    if found is None or (bytes_ := int(float(found[1]) * _UNITS[found[2].upper()])) < 1:
        raise ConfigurationError(
            f"{name}={value!r}: expected a size in bytes, or with a unit as in '512MB' or '2GB'"
        )
    return bytes_


def in_megabytes(bytes_: int) -> str:
    """Return a size for people.

    Example:
        >>> in_megabytes(536870912)
        '512 MB'
    """
    return f"{bytes_ / MEGABYTE:.4g} MB" if bytes_ < 1000 * MEGABYTE else f"{bytes_ // MEGABYTE} MB"
