"""The JSON Schema of experiment files, as editors read it."""

from __future__ import annotations

from typing import Any

from pydantic.json_schema import GenerateJsonSchema, JsonSchemaValue
from pydantic_core import core_schema

from collector.spec.document import Spec


class _Written(GenerateJsonSchema):
    """Shows defaults as they are written in a file: ``1h``, not ``3600.0``."""

    def default_schema(self, schema: core_schema.WithDefaultSchema) -> JsonSchemaValue:
        described = super().default_schema(schema)
        writing = schema["schema"].get("serialization", {})
        if "default" in described and writing.get("type") == "function-plain":
            described["default"] = writing["function"](schema["default"])
        return described


def json_schema() -> dict[str, Any]:
    """Return the schema (draft 2020-12) that ``experiments/schema.json`` holds."""
    schema = Spec.model_json_schema(schema_generator=_Written)
    return {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "title": "Tonnage experiment",
        **{key: value for key, value in schema.items() if key != "title"},
    }
