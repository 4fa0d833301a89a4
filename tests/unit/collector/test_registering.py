"""What the call costs that every agent makes all the time."""

from __future__ import annotations

from collections.abc import Sequence
from types import SimpleNamespace
from typing import Any, cast

import pytest

from collector.errors import WrongState
from collector.fleet import Fleet, Registration
from collector.server.calls import CollectorServicer, Parts
from collector.views import HeldRun
from tests.runs_made_up import facts, fingerprint
from tonnage import PROTOCOL, wire
from tonnage.v1 import collector_pb2 as pb


class _Counting(Fleet):
    """Counts the registrations that it is given to read."""

    def __init__(self) -> None:
        super().__init__()
        self.read = 0

    def register(self, told: Registration) -> float:
        self.read += 1
        return super().register(told)


class _Conductor:
    def __init__(self) -> None:
        self.returned_with: list[tuple[str, list[HeldRun]]] = []

    async def returned(self, host: str, held: Sequence[HeldRun]) -> None:
        self.returned_with.append((host, list(held)))


class _Access:
    def revoked_serials(self) -> Sequence[str]:
        return ("0a",)

    def scrape_token_hashes(self) -> Sequence[str]:
        return ("5" * 64,)


def _request(**changes: Any) -> pb.RegisterRequest:
    values: dict[str, Any] = {
        "facts": wire.to_message(facts("h1")),
        "runtimes": [wire.to_message(fingerprint())],
        "address": "127.0.0.1:1",
        "protocol": PROTOCOL,
    }
    # Off the wire, each time another message.
    return pb.RegisterRequest.FromString(
        pb.RegisterRequest(**{**values, **changes}).SerializeToString()
    )


class _Stand:
    def __init__(self) -> None:
        self.fleet, self.conductor = _Counting(), _Conductor()
        parts = SimpleNamespace(fleet=self.fleet, conductor=self.conductor, access=_Access())
        self._calls = CollectorServicer(cast("Parts", parts))

    async def register(self, **changes: Any) -> pb.RegisterResponse:
        return await self._calls.Register(_request(**changes), cast("Any", None))


async def test_what_is_told_again_is_not_read_again() -> None:
    stand = _Stand()
    for _ in range(5):
        answer = await stand.register()
    assert stand.fleet.read == 1
    assert (answer.lease_seconds, list(answer.revoked_serials)) == (15.0, ["0a"])
    assert answer.scrape_token_sha256 == ["5" * 64]
    await stand.register(address="127.0.0.1:2")
    assert stand.fleet.read == 2
    assert stand.fleet.get("h1").address == "127.0.0.1:2"
    await stand.register(runtimes=[])
    assert stand.fleet.get("h1").runtimes == ()


async def test_runs_that_an_agent_holds_go_to_the_conductor_and_are_no_change() -> None:
    stand = _Stand()
    for last in (7, 9):
        await stand.register(runs=[pb.HeldRun(run_id="r1", last_sequence=last, finished=True)])
    await stand.register()
    assert stand.fleet.read == 1
    assert stand.conductor.returned_with == [
        ("h1", [HeldRun("r1", 7, finished=True)]),
        ("h1", [HeldRun("r1", 9, finished=True)]),
    ]


async def test_another_protocol_is_refused_before_anything_is_read() -> None:
    stand = _Stand()
    await stand.register()
    with pytest.raises(WrongState, match="speaks protocol 99"):
        await stand.register(protocol=99, facts=None, runs=[pb.HeldRun(run_id="r1")])
    assert stand.fleet.read == 1
    assert stand.conductor.returned_with == []
