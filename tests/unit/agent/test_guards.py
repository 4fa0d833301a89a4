"""Guards: what stops launching, and for which reason."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from agent.guards import HostState, Limits, check, check_crowd
from tonnage.model import StopReason

MIB = 1024 * 1024
LIMITS = Limits(
    memory_headroom_bytes=1000 * MIB,
    disk_headroom_bytes=500 * MIB,
    max_instances=10,
    max_run_seconds=60,
    memory_some_avg10=50,
)
FINE = HostState(
    mem_available_bytes=1000 * MIB,
    disk_free_bytes=500 * MIB,
    instances=9,
    elapsed_seconds=59,
    cpu_some_avg10=99,
    memory_some_avg10=50,
    io_some_avg10=99,
)


def test_a_host_at_its_limits_may_launch() -> None:
    assert check(LIMITS, FINE) is None


@pytest.mark.parametrize(
    ("state", "reason", "says"),
    [
        ({"mem_available_bytes": 999 * MIB}, StopReason.MEMORY_HEADROOM, "is 999.0 MiB"),
        ({"mem_available_bytes": None}, StopReason.MEMORY_HEADROOM, "cannot be read"),
        ({"disk_free_bytes": 499 * MIB}, StopReason.DISK_HEADROOM, "(500.0 MiB)"),
        ({"disk_free_bytes": None}, StopReason.DISK_HEADROOM, "cannot be read"),
        ({"instances": 10}, StopReason.MAX_INSTANCES, "10 instances"),
        ({"elapsed_seconds": 60}, StopReason.TIME_LIMIT, "60 s"),
        ({"memory_some_avg10": 50.1}, StopReason.SLO_PRESSURE, "memory pressure is 50.1 %"),
    ],
)
def test_a_breach_stops_with_its_reason_and_both_numbers(
    state: dict[str, Any], reason: StopReason, says: str
) -> None:
    trip = check(LIMITS, replace(FINE, **state))
    assert trip is not None
    assert trip.reason is reason
    assert says in str(trip)


@pytest.mark.parametrize("resource", ["cpu", "memory", "io"])
def test_pressure_that_is_unguarded_or_unknown_stops_nothing(resource: str) -> None:
    key = f"{resource}_some_avg10"
    off: dict[str, Any] = {key: None}
    low: dict[str, Any] = {key: 1.0}
    high: dict[str, Any] = {key: 100.0}
    assert check(replace(LIMITS, **off), replace(FINE, **high)) is None
    assert check(replace(LIMITS, **low), replace(FINE, **off)) is None


def test_what_starts_in_flight_may_take_holds_back_a_launch_and_ends_no_run() -> None:
    full = replace(FINE, reserved_bytes=1)
    trip = check_crowd(LIMITS, full, 2 * MIB)
    assert trip is not None
    assert trip.reason is StopReason.MEMORY_HEADROOM
    assert "holds launching back: MemAvailable is 1000.0 MiB" in str(trip)
    assert "this one 2.0 MiB" in str(trip)
    assert check(LIMITS, full) is None


@pytest.mark.parametrize(
    ("available", "reserved"), [(1400 * MIB, 300 * MIB), (0, 0), (None, 300 * MIB)]
)
def test_room_beside_what_is_reserved_holds_nothing_back(
    available: int | None, reserved: int
) -> None:
    state = replace(FINE, mem_available_bytes=available, reserved_bytes=reserved)
    assert check_crowd(LIMITS, state, 100 * MIB) is None
