"""What an experiment may never do to its host.

The limits come from the agent's own configuration. A plan can stay below
them, it cannot widen them. All of it is pure: a state of the host goes in, a
typed reason to stop comes out.
"""

from __future__ import annotations

from dataclasses import dataclass

from agent.errors import GuardTripped
from tonnage.model import StopReason


@dataclass(frozen=True, slots=True)
class Limits:
    """The bounds of every run on this host. Pressure is PSI "some" over 10 s in
    percent; ``None`` leaves that pressure unguarded."""

    memory_headroom_bytes: int
    disk_headroom_bytes: int
    max_instances: int
    max_run_seconds: float
    cpu_some_avg10: float | None = None
    memory_some_avg10: float | None = None
    io_some_avg10: float | None = None


@dataclass(frozen=True, slots=True)
class HostState:
    """The host just before a launch; ``None`` means the kernel does not say.

    ``disk_free_bytes`` is that of the fullest disk watched; ``instances`` counts
    all that the agent holds; ``elapsed_seconds`` is since the run began;
    ``reserved_bytes`` is the memory that starts in flight may still take.
    """

    mem_available_bytes: int | None
    disk_free_bytes: int | None
    instances: int
    elapsed_seconds: float = 0.0
    cpu_some_avg10: float | None = None
    memory_some_avg10: float | None = None
    io_some_avg10: float | None = None
    reserved_bytes: int = 0


def check(limits: Limits, state: HostState) -> GuardTripped | None:
    """The first guard that forbids another launch, or ``None``.

    Every Linux host tells its memory and disk: where they cannot be read, the
    guard trips, as a missing reading must not pass.
    """
    return (
        _time(limits, state)
        or _floor("memory", limits.memory_headroom_bytes, state.mem_available_bytes)
        or check_disk(limits, state.disk_free_bytes)
        or _count(limits, state)
        or _pressure(limits, state)
    )


def check_crowd(limits: Limits, state: HostState, wanted_bytes: int) -> GuardTripped | None:
    """The memory guard for a launch that may take so much, beside those in flight.

    A launch can wait for one of those to end; that launching has to end is only for
    ``check`` to say, from memory that is really gone.
    """
    available, reserved = state.mem_available_bytes, state.reserved_bytes
    if available is None or reserved == 0:
        return None
    if available - reserved - wanted_bytes >= limits.memory_headroom_bytes:
        return None
    return GuardTripped(
        f"the memory guard holds launching back: MemAvailable is {_mebibytes(available)}, starts"
        f" in flight may take {_mebibytes(reserved)} of it and this one"
        f" {_mebibytes(wanted_bytes)}, guard_memory_headroom_bytes is"
        f" {limits.memory_headroom_bytes} ({_mebibytes(limits.memory_headroom_bytes)})",
        StopReason.MEMORY_HEADROOM,
    )


def check_disk(limits: Limits, free_bytes: int | None) -> GuardTripped | None:
    """The disk's guard alone: room may be made, so a run waits for it before it trips."""
    return _floor("disk", limits.disk_headroom_bytes, free_bytes)


_FLOORS = {
    "memory": (StopReason.MEMORY_HEADROOM, "MemAvailable", "guard_memory_headroom_bytes"),
    "disk": (StopReason.DISK_HEADROOM, "free disk space", "guard_disk_headroom_bytes"),
}


def _floor(what: str, limit: int, found: int | None) -> GuardTripped | None:
    reason, name, key = _FLOORS[what]
    if found is None:
        return GuardTripped(f"the {what} guard stops launching: {name} cannot be read", reason)
    if found >= limit:
        return None
    return GuardTripped(
        f"the {what} guard stops launching: {name} is {_mebibytes(found)},"
        f" {key} is {limit} ({_mebibytes(limit)})",
        reason,
    )


def _mebibytes(count: int) -> str:
    return f"{count / 2**20:.1f} MiB"


def _count(limits: Limits, state: HostState) -> GuardTripped | None:
    if state.instances < limits.max_instances:
        return None
    return GuardTripped(
        f"the count guard stops launching: {state.instances} instances, "
        f"guard_max_instances is {limits.max_instances}",
        StopReason.MAX_INSTANCES,
    )


def _time(limits: Limits, state: HostState) -> GuardTripped | None:
    if state.elapsed_seconds < limits.max_run_seconds:
        return None
    return out_of_time(limits.max_run_seconds)


def out_of_time(limit_seconds: float) -> GuardTripped:
    """The trip of a run that has used up its wall time."""
    return GuardTripped(
        f"the run reached its time limit of {limit_seconds:g} s", StopReason.TIME_LIMIT
    )


def _pressure(limits: Limits, state: HostState) -> GuardTripped | None:
    for resource in ("cpu", "memory", "io"):
        limit = getattr(limits, f"{resource}_some_avg10")
        found = getattr(state, f"{resource}_some_avg10")
        if limit is not None and found is not None and found > limit:
            return GuardTripped(
                f"the pressure guard stops launching: {resource} pressure is {found:g} %, "
                f"guard_{resource}_some_avg10 is {limit:g}",
                StopReason.SLO_PRESSURE,
            )
    return None
