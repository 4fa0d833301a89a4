"""Calls to the collector are counted by how they ended, whatever ended them."""

from __future__ import annotations

import asyncio
from typing import Any, cast

import pytest

from collector.errors import NoSuchHost
from collector.server.counting import CallCount
from tonnage.surrounding import Call
from tonnage.wire import WireError


def _call(method: str = "/tonnage.v1.CollectorService/DrainHost") -> Call:
    return Call(method, None, cast("Any", None), streaming=False)


async def test_a_call_that_ends_well_is_ok() -> None:
    ended: list[tuple[str, str]] = []
    async with CallCount(lambda *told: ended.append(told)).around(_call()):
        assert ended == []
    assert ended == [("DrainHost", "ok")]


@pytest.mark.parametrize(
    ("error", "outcome"),
    [
        (NoSuchHost("none"), "NOT_FOUND"),
        (WireError("a field"), "INVALID_ARGUMENT"),
        (ValueError("a defect"), "INTERNAL"),
        (asyncio.CancelledError(), "CANCELLED"),
        (GeneratorExit(), "CANCELLED"),
    ],
)
async def test_what_a_call_raises_is_counted_and_still_raised(
    error: BaseException, outcome: str
) -> None:
    ended: list[tuple[str, str]] = []
    with pytest.raises(type(error)):
        async with CallCount(lambda *told: ended.append(told)).around(_call()):
            raise error
    assert ended == [("DrainHost", outcome)]


async def test_health_and_reflection_are_not_the_contracts_calls() -> None:
    ended: list[tuple[str, str]] = []
    counted = CallCount(lambda *told: ended.append(told))
    async with counted.around(_call("/grpc.health.v1.Health/Check")):
        pass
    assert ended == []
