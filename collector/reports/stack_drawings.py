"""The lesson's picture of one host: layers of every subject, in bytes and in time."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

from markupsafe import Markup

from collector.reports import figures
from collector.reports.charts.stacks import Box, Stack, Units, draw
from collector.reports.charts.svg import NARROW, WIDE
from collector.reports.model import HostSummary, LayerRow
from collector.reports.names import Names
from collector.reports.rows import LAYERS, Layer

CONTAINER: Mapping[Layer, str] = {
    "hardware": "hardware",
    "host_os": "host OS",
    "engine": "engine and shim",
    "guest_kernel": "guest kernel",
    "guest_userspace": "guest user space",
    "guest": "guest OS",
    "guest_free": "guest, free again",
    "libraries": "libraries",
    "application": "application",
    "unexplained": "unexplained",
}
MACHINE: Mapping[Layer, str] = {**CONTAINER, "engine": "hypervisor (VMM)"}
TABLE: Mapping[Layer, str] = {**CONTAINER, "engine": "engine and shim, or hypervisor"}
"""What a layer is called: in a container's stack, in a VM's, and for both."""

_UPWARDS: tuple[Layer, ...] = ("unexplained", *LAYERS[2:-1])
"""From the host up: what no layer explains is next to it, as it is mostly its kernel's."""
_DOWNWARDS: tuple[Layer, ...] = (*reversed(_UPWARDS), "host_os", "hardware")
_TRIFLE = 0.002
"""An unexplained rest below this share of the whole is not drawn."""
_ABSENT = "no guest OS"


@dataclass(frozen=True, slots=True)
class Pictures:
    """The drawings, wide and narrow, and the cells behind them: subject by subject."""

    sizes: list[Markup]
    times: list[Markup]
    subjects: list[Mapping[Layer, LayerRow]]
    layers: Sequence[tuple[Layer, str]]


def pictures(host: HostSummary, rows: Sequence[LayerRow], names: Names) -> Pictures:
    """What is drawn of a host; a subject of which nothing was weighed or started is left out."""
    subjects: dict[str, dict[Layer, LayerRow]] = {}
    for row in rows:
        subjects.setdefault(names.of(row), {})[row.layer] = row
    seen = {layer for cells in subjects.values() for layer in cells}
    return Pictures(
        sizes=_drawn(host, subjects, lambda row: row.bytes_per_instance, _SIZES),
        times=_drawn(host, subjects, lambda row: row.seconds, _TIMES),
        subjects=list(subjects.values()),
        layers=[(layer, TABLE[layer]) for layer in _DOWNWARDS if layer in seen],
    )


@dataclass(frozen=True, slots=True)
class _Kind:
    units: Units
    whole: str
    label: str


_SIZES = _Kind(
    Units(figures.size, figures.size_short),
    "{} an instance",
    "Memory of one more instance, layer by layer, to scale",
)
_TIMES = _Kind(
    Units(figures.seconds, figures.seconds_short),
    "{} to ready",
    "Time of a start, layer by layer, to scale",
)


def _drawn(
    host: HostSummary,
    subjects: Mapping[str, Mapping[Layer, LayerRow]],
    value: Callable[[LayerRow], float | None],
    kind: _Kind,
) -> list[Markup]:
    stacks = [_stack(name, cells, value, kind) for name, cells in subjects.items()]
    stacks = [stack for stack in stacks if stack.height > 0]
    if not stacks:
        return []
    label = f"{kind.label}, on {host.host}"
    return [
        draw(stacks, _ground(host, wide=width == WIDE), kind.units, width, label)
        for width in (WIDE, NARROW)
    ]


def _stack(
    name: str,
    cells: Mapping[Layer, LayerRow],
    value: Callable[[LayerRow], float | None],
    kind: _Kind,
) -> Stack:
    machine = any(row.accelerator != "none" for row in cells.values())
    called = MACHINE if machine else CONTAINER
    boxes: list[Box] = []
    for layer in _UPWARDS:
        row = cells.get(layer)
        if row is None:
            continue
        if not machine and layer == "guest_kernel":
            boxes.append(Box(layer, _ABSENT, None))
        elif (found := value(row)) is not None and not (
            layer == "unexplained" and abs(found) < _TRIFLE * _whole(cells, value)
        ):
            boxes.append(Box(layer, called[layer], found))
    whole = kind.units.told(_whole(cells, value))
    return Stack(name, kind.whole.format(whole), boxes)


def _whole(cells: Mapping[Layer, LayerRow], value: Callable[[LayerRow], float | None]) -> float:
    """What is drawn of a stack: a rest below zero lowers it by nothing."""
    return sum(max(found, 0) for row in cells.values() if (found := value(row)) is not None)


def _ground(host: HostSummary, *, wide: bool) -> list[str]:
    """What all stand on, told by the host's facts where there are any."""
    facts = host.facts
    if not facts or not wide:
        return ["host OS", "hardware"]
    kernel = f"{facts['os']}, Linux {facts['kernel']}"
    machine = f"{facts['cpus']} CPUs, {figures.size(facts['memory_bytes'])}"
    return [
        f"host OS: {kernel}; shared by all, not to scale",
        f"hardware: {machine}; shared by all, not to scale",
    ]
