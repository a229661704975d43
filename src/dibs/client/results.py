"""How what a handler returns is stored."""

from __future__ import annotations

import json
from typing import Any

from pydantic_core import PydanticSerializationError, to_json

from dibs.errors import InvalidJobError


def dump_result(value: Any) -> str:
    """Return what a handler returned as JSON text.

    Raises:
        InvalidJobError: it is not JSON.
    """
    try:
        text = to_json(value, inf_nan_mode="strings", bytes_mode="base64").decode()
        json.loads(text)  # what cannot be read back, as a number of 5,000 digits, is no result
    except (PydanticSerializationError, ValueError, RecursionError) as error:
        raise InvalidJobError(f"a result cannot be stored as JSON: {error}") from error
    return text
