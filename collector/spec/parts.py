"""The experiment file: every field, its meaning, its default and its bounds."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Any, Self

from pydantic import (
    BaseModel,
    ConfigDict,
    Field,
    GetCoreSchemaHandler,
    GetJsonSchemaHandler,
    SerializerFunctionWrapHandler,
    StringConstraints,
    ValidationInfo,
    field_validator,
    model_serializer,
    model_validator,
)
from pydantic_core import CoreSchema, PydanticCustomError, core_schema

from collector.spec.units import InstanceMemory
from tonnage.model import Mode, Network

Name = Annotated[str, StringConstraints(pattern=r"^[a-z0-9][a-z0-9.-]{0,62}$")]
HostName = Annotated[str, StringConstraints(pattern=r"^[A-Za-z0-9][A-Za-z0-9._-]{0,62}$")]
Text = Annotated[str, StringConstraints(min_length=1, max_length=512)]
Argument = Annotated[str, StringConstraints(max_length=4096)]
Variable = Annotated[str, StringConstraints(pattern=r"^[A-Za-z_][A-Za-z0-9_]{0,127}$")]
ONE_LINE = r"^[^\r\n\x00]*$"
Line = Annotated[str, StringConstraints(min_length=1, max_length=512, pattern=ONE_LINE)]
HttpPath = Annotated[str, StringConstraints(pattern=r"^/[!-~]{0,1023}$")]
Port = Annotated[int, Field(strict=True, ge=1, le=65535)]


class Part(BaseModel):
    """A mapping of the file. Unknown keys are refused."""

    model_config = ConfigDict(extra="forbid", frozen=True, use_attribute_docstrings=True)

    @model_serializer(mode="wrap")
    def _without_absent(self, handler: SerializerFunctionWrapHandler) -> dict[str, Any]:
        written: dict[str, Any] = handler(self)
        return {key: item for key, item in written.items() if item not in (None, [], (), {}, "")}


class _OneOrMany:
    """Takes one value or a list of them, and holds a tuple."""

    def __get_pydantic_core_schema__(
        self, source: Any, handler: GetCoreSchemaHandler
    ) -> CoreSchema:
        return core_schema.no_info_before_validator_function(
            lambda value: value if isinstance(value, list | tuple) else (value,),
            handler(source),
            serialization=core_schema.wrap_serializer_function_ser_schema(
                _single, schema=handler(source)
            ),
        )

    def __get_pydantic_json_schema__(
        self, schema: CoreSchema, handler: GetJsonSchemaHandler
    ) -> dict[str, Any]:
        array = handler(schema)
        return {"anyOf": [array["items"], array]}


def _single(value: Any, handler: SerializerFunctionWrapHandler) -> Any:
    written = handler(value)
    return written[0] if len(written) == 1 else written


_FEW = Field(min_length=1, max_length=16)
_FEW_OR_NONE = Field(max_length=16)


class Http(Part):
    """An HTTP GET, answered with a 2xx status."""

    port: Port
    """The port inside the instance, 1 to 65535."""
    path: HttpPath = "/"
    """The path, beginning with a slash."""


class Tcp(Part):
    """Bytes that come back on a TCP connection."""

    port: Port
    """The port inside the instance, 1 to 65535."""
    send: Annotated[str, StringConstraints(max_length=1024)] = ""
    """What to send once connected; empty when the workload speaks first."""


class ConsoleCheck(Part):
    """A line sent to the console, and what must come back."""

    ask: Line
    """The line to send."""
    answer: Line
    """A text that a console line must then contain, and that ``ask`` does not."""

    @field_validator("answer", mode="after")
    @classmethod
    def _no_echo(cls, answer: str, info: ValidationInfo) -> str:
        if answer in info.data.get("ask", ""):
            raise PydanticCustomError(
                "echo",
                "is part of its own ask, which a console may echo",
                {"remedy": "Let the workload answer with another text, such as pong to ping."},
            )
        return answer


def _exactly_one(part: BaseModel, names: tuple[str, ...]) -> None:
    chosen = [name for name in names if getattr(part, name) is not None]
    if len(chosen) != 1:
        raise PydanticCustomError(
            "exactly_one",
            "needs exactly one of {names}, not {count}",
            {"names": ", ".join(names), "count": len(chosen)},
        )


class Readiness(Part):
    """When an instance counts as ready: exactly one of the three."""

    log: Line | None = None
    """Ready when a console line contains this text. Works in every runtime."""
    tcp: Tcp | None = None
    """Ready when bytes come back on a TCP connection. Containers with a network."""
    http: Http | None = None
    """Ready when an HTTP GET is answered with 2xx. Containers with a network."""

    @model_validator(mode="after")
    def _one(self) -> Self:
        _exactly_one(self, ("log", "tcp", "http"))
        return self


class HealthCheck(Part):
    """How an instance shows that it still answers: exactly one of the two."""

    console: ConsoleCheck | None = None
    """Ask on the console."""
    http: Http | None = None
    """Ask over HTTP. Containers with a network."""

    @model_validator(mode="after")
    def _one(self) -> Self:
        _exactly_one(self, ("console", "http"))
        return self


class WorkloadSpec(Part):
    """What runs in every instance: the same for every runtime compared."""

    model_config = ConfigDict(coerce_numbers_to_str=True)

    image: Annotated[str, StringConstraints(pattern=r"^[A-Za-z0-9][A-Za-z0-9._/:@-]{0,254}$")]
    """The image's reference on the host, for example ``tonnage/idle:1``."""
    readiness: Readiness
    """When an instance counts as ready."""
    name: Name | None = None
    """A short name for rows and tables; the image's own if absent."""
    command: tuple[Argument, ...] = Field(default=(), max_length=256)
    """Replaces the image's entrypoint and command; empty keeps both."""
    environment: Mapping[Variable, Argument] = Field(default_factory=dict, max_length=256)
    """Variables added to the image's own."""
    health: HealthCheck | None = None
    """How an instance shows that it still answers; absent: being alive is enough."""
    pull: bool = False
    """Whether the engine may pull the image when the host does not have it."""


class TargetSpec(Part):
    """What is launched. Every field but runtime and name takes one value or a list;
    a list is a factor, and every combination of the factors becomes a target."""

    runtime: Name
    """The runtime, such as docker, runc or qemu-microvm; tonnage hosts shows what there is."""
    name: Name | None = None
    """Its name in stages and tables; the runtime's if absent."""
    variant: Annotated[tuple[Name, ...], _OneOrMany(), _FEW_OR_NONE] = ()
    """A profile of the runtime; absent: the runtime's first."""
    mode: Annotated[tuple[Mode, ...], _OneOrMany(), _FEW] = (Mode.WARM,)
    """How a start begins: warm, cold or restore."""
    network: Annotated[tuple[Network, ...], _OneOrMany(), _FEW] = (Network.NONE,)
    """The network of each instance: none, bridge or user."""
    memory: Annotated[tuple[InstanceMemory, ...], _OneOrMany(), _FEW] = (128 * 2**20,)
    """A container's memory limit, a VM's RAM."""
    cpus: Annotated[
        tuple[Annotated[int, Field(strict=True, ge=1, le=1024)], ...], _OneOrMany(), _FEW
    ] = (1,)
    """A container's quota, a VM's virtual CPUs."""
    workload: Annotated[tuple[Name, ...], _OneOrMany(), _FEW_OR_NONE] = ()
    """A name from ``workloads``; absent where the file has one ``workload``."""
