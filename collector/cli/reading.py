"""Flags' values read by a type of the experiment file."""

from __future__ import annotations

from typing import Any

from pydantic import TypeAdapter, ValidationError

from collector.errors import InvalidInput


def read(kind: Any, field: str, value: str) -> Any:
    """Return ``value`` as a ``kind``; raise ``InvalidInput`` that names ``field``."""
    try:
        return TypeAdapter(kind).validate_python(value)
    except ValidationError as error:
        if not value:
            raise InvalidInput("is empty", field=field) from error
        details = error.errors(include_url=False)[0]
        remedy = str(details.get("ctx", {}).get("remedy", ""))
        message = details["msg"]
        raise InvalidInput(message, field=field, value=value, remedy=remedy) from error
