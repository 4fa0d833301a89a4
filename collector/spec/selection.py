"""Which hosts an experiment runs on."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Any, Self

from pydantic import (
    AfterValidator,
    Field,
    GetCoreSchemaHandler,
    GetJsonSchemaHandler,
    StringConstraints,
    model_validator,
)
from pydantic_core import CoreSchema, PydanticCustomError, core_schema

from collector.spec.expressions import LONGEST, Expression, ExpressionError
from collector.spec.parts import HostName, Part
from collector.spec.units import Duration

_Label = Annotated[str, StringConstraints(min_length=1, max_length=256)]
_LabelText = Annotated[str, StringConstraints(max_length=256)]
_UpToAnHour = Annotated[float, Duration("0s", "1h")]


def _some(names: tuple[str, ...]) -> tuple[str, ...]:
    """An empty list, perhaps out of a template, must not mean every host."""
    if not names:
        raise PydanticCustomError(
            "no_names", "names no host", {"remedy": "Leave it out to take every healthy host."}
        )
    return names


_Names = Annotated[
    tuple[HostName, ...],
    Field(max_length=10_000, json_schema_extra={"minItems": 1}),
    AfterValidator(_some),
]


def _readable(text: str) -> str:
    try:
        Expression(text)
    except ExpressionError as error:
        raise PydanticCustomError(
            "expression", "{text}", {"text": error.message, "remedy": error.remedy}
        ) from error
    return text


_Where = Annotated[
    str, StringConstraints(min_length=1, max_length=LONGEST), AfterValidator(_readable)
]


class HostSelection(Part):
    """The hosts that meet every condition given here; without one, all that are healthy.

    A host that is draining, suspect or lost takes no part.
    """

    names: _Names = ()
    """These hosts alone. Where ``expect`` is not given, each one must be there."""
    labels: Mapping[_Label, _LabelText] = Field(default_factory=dict, max_length=64)
    """Hosts with all of these labels."""
    where: _Where | None = None
    """Hosts of which this expression holds; its names are name, state, cpus, memory,
    kernel, os, architecture, cgroup, virtualization, labels, runtimes, MiB and GiB."""
    expect: Annotated[int, Field(strict=True, ge=1, le=10_000)] | None = None
    """Exactly this many hosts must take part; fewer are waited for, more are refused."""
    wait: _UpToAnHour = 0.0
    """How long hosts are waited for, until enough are there."""
    barrier: _UpToAnHour = 60.0
    """Several hosts begin to launch at once, when the last has its images ready; one that
    is not released within this time fails. 0s: each begins by itself."""

    @model_validator(mode="after")
    def _possible(self) -> Self:
        if self.names and self.expect is not None and self.expect > len(set(self.names)):
            raise PydanticCustomError(
                "inconsistent",
                "{text}",
                {
                    "text": f"expects more hosts than the {len(set(self.names))} it names",
                    "remedy": "Name more hosts, or expect fewer.",
                    "at": ("hosts", "expect"),
                },
            )
        return self


class NamesOrSelection:
    """Takes a list of names in place of a mapping that holds only them, and null for one
    that is empty."""

    def __get_pydantic_core_schema__(
        self, source: Any, handler: GetCoreSchemaHandler
    ) -> CoreSchema:
        return core_schema.no_info_before_validator_function(_mapping, handler(source))

    def __get_pydantic_json_schema__(
        self, schema: CoreSchema, handler: GetJsonSchemaHandler
    ) -> dict[str, Any]:
        selection = handler(schema)
        described = handler.resolve_ref_schema(selection)["properties"]["names"]
        names = {key: item for key, item in described.items() if key in _OF_LISTS}
        return {"anyOf": [names, selection, {"type": "null"}]}


_OF_LISTS = ("type", "items", "minItems", "maxItems")


def _mapping(value: Any) -> Any:
    if value is None:
        return {}
    if isinstance(value, list | tuple):
        return {"names": value}
    if not isinstance(value, Mapping | HostSelection):
        raise PydanticCustomError(
            "hosts",
            "is neither a list of names nor a mapping",
            {"remedy": "For example: hosts: [h1, h2], or hosts: {labels: {rack: a}}."},
        )
    return value
