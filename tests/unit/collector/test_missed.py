"""What the audit log says of a command over hosts that not every host took."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Sequence
from typing import Any

import pytest

from collector.model import AUDIT_OK, AUDIT_PARTIAL, AuditEntry
from collector.server.audit import AuditTrail
from collector.server.missed import Missed
from tonnage.surrounding import Call
from tonnage.v1 import collector_pb2 as pb

Stopped = pb.CollectorServiceStopAllResponse
GONE = "the agent does not answer"


class Log:
    """Keeps entries; nobody stores them."""

    def __init__(self) -> None:
        self.entries: list[AuditEntry] = []

    def add(self, entry: AuditEntry) -> None:
        self.entries.append(entry)


class Peer:
    """A call's context that knows no more than where it came from."""

    def auth_context(self) -> dict[str, list[bytes]]:
        return {}

    def invocation_metadata(self) -> tuple[tuple[str, str], ...]:
        return ()

    def peer(self) -> str:
        return "ipv4:10.0.0.1:5"


def killed(host: str) -> Stopped:
    return Stopped(host=host, killed=pb.HostKilled(host=host))


def removed(host: str, *leaked: str) -> Stopped:
    return Stopped(host=host, removed=pb.HostCleaning(host=host, leaked=leaked))


def failed(host: str, why: str = GONE) -> Stopped:
    answer = Stopped(host=host)
    answer.problem.message = why
    return answer


async def noted(name: str, answers: Sequence[Any], *, streaming: bool) -> list[AuditEntry]:
    """The entries of a call that gave these answers and then ended well."""
    log = Log()
    trail = AuditTrail(log)  # type: ignore[arg-type]  # it only adds
    call = Call(f"/tonnage.v1.CollectorService/{name}", None, Peer(), streaming)  # type: ignore[arg-type]

    async def made() -> AsyncIterator[Any]:
        for answer in answers:
            yield answer

    async with trail.around(call):
        if streaming:
            assert [each async for each in trail.during(call, made())] == list(answers)
        else:
            (call.answer,) = answers
    return log.entries


@pytest.mark.parametrize(
    "answer",
    [
        pb.CollectorServiceCancelRunResponse(reached=["h2"], unreached=["h3", "h1"]),
        pb.CleanHostsResponse(unreached=["h3", "h1"]),
    ],
)
async def test_a_command_that_missed_hosts_is_partial_and_names_them(answer: Any) -> None:
    (entry,) = await noted("CancelRun", [answer], streaming=False)
    assert (entry.outcome, entry.reason) == (AUDIT_PARTIAL, "not reached: h1, h3")


async def test_a_command_that_reached_every_host_is_ok() -> None:
    answer = pb.CollectorServiceCancelRunResponse(reached=["h1", "h2"])
    (entry,) = await noted("CancelRun", [answer], streaming=False)
    assert (entry.outcome, entry.reason) == (AUDIT_OK, "")


async def test_a_list_without_a_host_that_is_away_is_no_entry() -> None:
    answer = pb.CollectorServiceListInstancesResponse(unreached=["h1"])
    assert await noted("ListInstances", [answer], streaming=False) == []


async def test_a_red_button_that_removed_everything_is_ok() -> None:
    answers = [killed("h1"), killed("h2"), removed("h2"), removed("h1")]
    (entry,) = await noted("StopAll", answers, streaming=True)
    assert (entry.outcome, entry.reason) == (AUDIT_OK, "")


async def test_a_red_button_that_missed_a_host_is_partial_and_says_why() -> None:
    answers = [killed("h1"), failed("h2"), removed("h1")]
    (entry,) = await noted("StopAll", answers, streaming=True)
    assert (entry.outcome, entry.reason) == (AUDIT_PARTIAL, f"not reached: h2; h2: {GONE}")


@pytest.mark.parametrize(
    ("answers", "told"),
    [
        ([killed("h1"), removed("h1", "i1", "i2")], "left on h1: i1, i2"),
        ([killed("h1"), failed("h1")], f"not reached: h1; h1: {GONE}"),
        ([killed("h1")], "not reached: h1"),
        ([failed("h1", "takes new runs"), killed("h1"), removed("h1")], "h1: takes new runs"),
    ],
)
def test_what_a_host_was_not_heard_to_finish_is_told(answers: list[Stopped], told: str) -> None:
    missed = Missed()
    for answer in answers:
        missed.hear(answer)
    assert str(missed) == told


async def test_a_red_button_whose_presser_left_is_cancelled_and_still_noted() -> None:
    log = Log()
    call = Call("/tonnage.v1.CollectorService/StopAll", None, Peer(), streaming=True)  # type: ignore[arg-type]
    with pytest.raises(asyncio.CancelledError):
        async with AuditTrail(log).around(call):  # type: ignore[arg-type]  # it only adds
            raise asyncio.CancelledError
    assert [entry.outcome for entry in log.entries] == ["CANCELLED"]
