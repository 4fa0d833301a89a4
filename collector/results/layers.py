"""Layer rows: the bytes and the time of each box of the stack, and what no box explains."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass

from collector.reports.model import LayerRow
from collector.reports.rows import Layer
from collector.results.footprint import Series, fall_of_mem_available, per_instance
from collector.results.guests import GuestMemory
from collector.results.startup import StartupSample
from collector.results.subjects import Key, Subjects
from collector.stats.summary import describe
from tonnage.model import Accelerator, FootprintPoint, Sample

SHARED = "shared by all instances: no part of it is an instance's own"
NOT_APART = "what the host's kernel keeps for an instance cannot be told apart: see unexplained"
HOSTS_KERNEL = "none: the host's kernel runs it"
NO_GUEST = "none: there is no guest"
IN_THE_GUEST = "in the guest's user space, which the host cannot look into"
RESTORED = "nothing boots: the guest goes on where its snapshot was taken"
SANDBOXED = (
    "no process of the host: the workload lies in its sandbox, which is in the engine's part"
)
NOT_TOLD = "the guest was not asked, or did not tell"
AS_IT_BEGINS = "within the application's: they are loaded as it begins"
TOLD_APART = "told apart: kernel and user space"
NOT_READ = "no footprint was measured"
UNREADABLE = "it could not be read at the points that were measured"
NOT_STARTED = "no start was measured"
NO_MARKS = "the starts have no marks of it"
NOT_RESOLVED = "not resolved: within the engine's part"
NO_DAEMON = "there is no engine that stays"

_READINGS: Mapping[str, Callable[[Sample], int | None]] = {
    "available": fall_of_mem_available,
    "engine": lambda sample: sample.engine_bytes,
    "helper": lambda sample: sample.helper_bytes,
    "library": lambda sample: sample.library_bytes,
    "application": lambda sample: sample.application_bytes,
    "vmm": lambda sample: sample.vmm_overhead_bytes,
    "guest": lambda sample: sample.guest_ram_bytes,
}


@dataclass(frozen=True, slots=True)
class Cell:
    """One figure of one layer: a value, or why there is none."""

    value: float | None
    reason: str | None = None


Cells = dict[Layer, Cell]


def layer_rows(
    samples: Sequence[StartupSample],
    weighed: Sequence[Series],
    guests: Mapping[Key, GuestMemory],
    subjects: Subjects,
) -> Iterator[LayerRow]:
    """Every layer of every subject that was started or weighed, in the plan's order."""
    starts: dict[Key, StartupSample] = {}
    for sample in samples:
        if sample.seconds("total") and sample.key not in starts:
            starts[sample.key] = sample  # they come in order of concurrency
    points = {each.key: each.points for each in weighed if each.points}
    for key in sorted({*starts, *points}, key=subjects.place):
        machine = key.accelerator is not Accelerator.NONE
        sizes = _sizes(points.get(key, ()), machine, guests.get(key))
        times = _times(starts.get(key), machine)
        subject = dict(subjects.subject(key))
        for layer in sizes:
            yield LayerRow(
                **subject,
                layer=layer,
                bytes_per_instance=sizes[layer].value,
                bytes_reason=sizes[layer].reason,
                seconds=times[layer].value,
                seconds_reason=times[layer].reason,
            )


def _sizes(points: Sequence[FootprintPoint], machine: bool, guest: GuestMemory | None) -> Cells:
    slopes = {name: _slope(points, read) for name, read in _READINGS.items()}
    cells = _of_machine(slopes, guest) if machine else _of_container(slopes)
    return _completed(cells, slopes["available"], NOT_READ)


def _slope(points: Sequence[FootprintPoint], read: Callable[[Sample], int | None]) -> float | None:
    return per_instance(
        [(point, value) for point in points if (value := read(point.sample)) is not None]
    ).value


def _of_container(slopes: Mapping[str, float | None]) -> Cells:
    unread = _unread(slopes)
    lacking = NO_DAEMON if slopes["application"] is not None else unread
    own = {name: _known(slopes[name], unread) for name in ("library", "application")}
    if slopes["helper"] and not slopes["library"] and not slopes["application"]:
        own = dict.fromkeys(own, Cell(None, SANDBOXED))
    return {
        "engine": _together(slopes["engine"], slopes["helper"], lacking=lacking),
        "guest_kernel": Cell(None, HOSTS_KERNEL),
        "guest_userspace": Cell(None, NO_GUEST),
        "libraries": own["library"],
        "application": own["application"],
    }


def _unread(slopes: Mapping[str, float | None]) -> str:
    return NOT_READ if slopes["available"] is None else UNREADABLE


def _of_machine(slopes: Mapping[str, float | None], guest: GuestMemory | None) -> Cells:
    return {
        "engine": _together(slopes["vmm"], slopes["helper"], lacking=_unread(slopes)),
        **_of_guest(slopes["guest"], guest),
        "libraries": Cell(None, IN_THE_GUEST),
        "application": Cell(None, IN_THE_GUEST),
    }


def _of_guest(touched: float | None, guest: GuestMemory | None) -> Cells:
    """What a guest has touched of its RAM, as far as it told how it uses that."""
    if guest is None or touched is None:
        apart = Cell(None, NOT_READ if touched is None else NOT_TOLD)
        return {
            "guest_kernel": apart,
            "guest_userspace": apart,
            "guest": _known(touched, NOT_READ),
            "guest_free": apart,
        }
    free = touched - guest.kernel_bytes - guest.userspace_bytes
    return {
        "guest_kernel": Cell(guest.kernel_bytes),
        "guest_userspace": Cell(guest.userspace_bytes),
        "guest": Cell(None, TOLD_APART),
        "guest_free": Cell(free),
    }


def _times(sample: StartupSample | None, machine: bool) -> Cells:
    if sample is None:
        return _completed(_none_of(machine, NOT_STARTED), None, NOT_STARTED)
    whole = describe(sample.seconds("total")).p50
    if whole.value is None:
        few = whole.reason or NOT_STARTED
        return _completed(_none_of(machine, few), None, few)
    median = {phase: describe(sample.seconds(phase)).p50.value for phase in _PHASES}
    before = _together(*(median[phase] for phase in _BEFORE_GUEST), lacking=NO_MARKS)
    if machine:
        cells: Cells = {
            "engine": before,
            "guest_kernel": _known(
                median["kernel"], NO_MARKS if median["restore"] is None else RESTORED
            ),
            "guest": Cell(None, TOLD_APART),
            "guest_free": Cell(None, "takes no time"),
            **_in_guest(median),
        }
    else:
        unresolved = NOT_RESOLVED if sample.unresolved else NO_MARKS
        cells = {
            "engine": before,
            "guest_kernel": Cell(None, HOSTS_KERNEL),
            "guest_userspace": Cell(None, NO_GUEST),
            "libraries": Cell(None, AS_IT_BEGINS),
            "application": _known(None if sample.unresolved else median["userspace"], unresolved),
        }
    return _completed(cells, whole.value, NOT_STARTED)


def _in_guest(median: Mapping[str, float | None]) -> Cells:
    """A guest's user space, apart from the application where its unit has a mark."""
    if median["init"] is None:
        return {
            "guest_userspace": _known(median["userspace"], NO_MARKS),
            "libraries": Cell(None, "within the guest's user space"),
            "application": Cell(None, "within the guest's user space: ready ends both"),
        }
    return {
        "guest_userspace": Cell(median["init"]),
        "libraries": Cell(None, AS_IT_BEGINS),
        "application": _known(median["userspace"], NO_MARKS),
    }


_PHASES = ("accept", "create", "machine", "restore", "kernel", "init", "userspace")
_BEFORE_GUEST = _PHASES[:4]


def _none_of(machine: bool, reason: str) -> Cells:
    blank = dict.fromkeys(_READINGS)
    layers = _of_machine(blank, None) if machine else _of_container(blank)
    never = (HOSTS_KERNEL, NO_GUEST)
    return {
        layer: cell if cell.reason in never else Cell(None, reason)
        for layer, cell in layers.items()
    }


def _completed(cells: Cells, whole: float | None, lacking: str) -> Cells:
    """The layers below that all share, and what the whole has beyond the known ones."""
    known = sum(cell.value for cell in cells.values() if cell.value is not None)
    rest = Cell(None, lacking) if whole is None else Cell(whole - known)
    return {"hardware": Cell(None, SHARED), "host_os": Cell(None, NOT_APART), **cells,
            "unexplained": rest}  # fmt: skip


def _together(*values: float | None, lacking: str) -> Cell:
    """The sum of those there are: an engine without a daemon has only a shim, or neither."""
    there = [value for value in values if value is not None]
    return Cell(sum(there)) if there else Cell(None, lacking)


def _known(value: float | None, otherwise: str) -> Cell:
    return Cell(value, None if value is not None else otherwise)
