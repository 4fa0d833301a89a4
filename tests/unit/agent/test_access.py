"""Every call of the agent by every role: a table, tried over real connections."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Container
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any, cast

import grpc
import pytest
from grpc_health.v1 import health_pb2
from grpc_reflection.v1alpha import reflection_pb2
from structlog.testing import capture_logs

from agent.access import CALLS, COMMANDS
from agent.errors import ConfigError
from agent.listener import Listener
from agent.server import AgentServicer
from tests.pki import DAY, Authority, serial
from tonnage.address import Address, UnixSocket
from tonnage.dial import Dial
from tonnage.identity import Identity, Role
from tonnage.model import Problem
from tonnage.problems import PROBLEM_KEY
from tonnage.tls import TlsFiles
from tonnage.v1 import agent_pb2, agent_pb2_grpc, model_pb2
from tonnage.wire import from_message

AGENT = Identity(Role.AGENT, "h1")
OWN: Any = agent_pb2.DESCRIPTOR.services_by_name["AgentService"]
SERVED: list[Any] = [
    *OWN.methods,
    *health_pb2.DESCRIPTOR.services_by_name["Health"].methods,
    *reflection_pb2.DESCRIPTOR.services_by_name["ServerReflection"].methods,
]


def path(method: Any) -> str:
    return f"/{method.containing_service.full_name}/{method.name}"


def _answering(method: Any) -> Any:
    """A behaviour of the right kind; the instance ``bad`` is not found."""
    answer = getattr(agent_pb2, method.output_type.name)

    async def stream(_self: object, request: Any, _context: object) -> AsyncIterator[Any]:
        yield answer()
        yield answer()

    async def unary(_self: object, request: Any, context: Any) -> Any:
        if getattr(request, "instance_id", "") == "bad":
            await context.abort(grpc.StatusCode.NOT_FOUND, "no such instance")
        return answer()

    return stream if method.server_streaming else unary


Servicer = type("Servicer", (), {method.name: _answering(method) for method in OWN.methods})


@asynccontextmanager
async def serving(files: TlsFiles | None, revoked: Container[str] = ()) -> AsyncIterator[str]:
    """The agent's listener before a servicer that answers everything."""
    listener = Listener(cast("AgentServicer", Servicer()), files, revoked)
    try:
        at = listener.bind(Address("127.0.0.1", 0))
        await listener.start()
        yield str(at)
    finally:
        await listener.stop(0)


async def call(dial: Dial, method: Any, **request: Any) -> grpc.aio.AioRpcError | None:
    """Make a call to its first answer; its error, if it is one."""
    asked = method.input_type._concrete_class(**request)
    kind = (
        ("unary", "stream")[method.client_streaming],
        ("unary", "stream")[method.server_streaming],
    )
    channel: Any = await dial.channel()
    made = getattr(channel, "_".join(kind))(
        path(method),
        method.input_type._concrete_class.SerializeToString,
        method.output_type._concrete_class.FromString,
    )
    try:
        if method.client_streaming:
            async for _ in made(iter([asked])):
                pass
        elif method.name == "Watch":
            watching = made(asked)
            await watching.read()
            watching.cancel()
        elif method.server_streaming:
            assert len([answer async for answer in made(asked)]) == 2
        else:
            await made(asked, timeout=10)
    except grpc.aio.AioRpcError as error:
        return error
    return None


def _reached(error: grpc.aio.AioRpcError | None) -> bool:
    """Whether the gate let a call through; the library has no Health.List of its own."""
    return error is None or error.code() is grpc.StatusCode.UNIMPLEMENTED


def problem(error: grpc.aio.AioRpcError | None) -> Problem:
    assert error is not None
    sent = dict(error.trailing_metadata() or ())[PROBLEM_KEY]
    assert isinstance(sent, bytes)
    return from_message(model_pb2.Problem.FromString(sent), Problem)


@pytest.fixture
def authority(tmp_path: Path) -> Authority:
    return Authority(tmp_path / "pki")


def method(name: str) -> Any:
    return OWN.methods_by_name[name]


def test_the_table_names_every_call_and_no_other() -> None:
    assert set(CALLS) == {path(method) for method in SERVED}
    assert set(CALLS) >= COMMANDS


@pytest.mark.parametrize("role", list(Role))
async def test_every_call_is_for_the_roles_of_the_table(authority: Authority, role: Role) -> None:
    async with serving(authority.issue(Role.AGENT, "h1")) as address:
        dial = Dial(address, AGENT, authority.issue(role, "caller"))
        for method in SERVED:
            error = await call(dial, method)
            if role in CALLS[path(method)]:
                assert _reached(error), path(method)
            else:
                assert error is not None, path(method)
                assert error.code() is grpc.StatusCode.PERMISSION_DENIED
                said = problem(error).message
                assert f"{role} caller may not call {method.name}: it is for collector" in said
        await dial.close()


def test_only_the_collector_commands_an_agent() -> None:
    """The table, told twice on purpose."""
    own = {path(method) for method in OWN.methods}
    assert {CALLS[name] for name in own} == {frozenset({Role.COLLECTOR})}
    assert {CALLS[name] for name in set(CALLS) - own} == {frozenset(Role)}


@pytest.mark.parametrize("method", SERVED, ids=lambda method: method.name)
async def test_no_call_without_a_good_certificate(
    authority: Authority, tmp_path: Path, method: Any
) -> None:
    stranger = Authority(tmp_path / "other").issue(Role.COLLECTOR, "collector")
    bad = {
        "none": None,
        "expired": authority.issue(Role.COLLECTOR, "old", begins=-2 * DAY, ends=-DAY),
        "wrong authority": TlsFiles(stranger.certificate, stranger.key, authority.path),
    }
    async with serving(authority.issue(Role.AGENT, "h1")) as address:
        for name, files in bad.items():
            dial = Dial(address, AGENT, files)
            error = await call(dial, method)
            assert error is not None, name
            assert error.code() is grpc.StatusCode.UNAVAILABLE, "the handshake itself fails"
            await dial.close()


async def test_a_certificate_that_names_nobody_is_not_authenticated(authority: Authority) -> None:
    async with serving(authority.issue(Role.AGENT, "h1")) as address:
        dial = Dial(address, AGENT, authority.issue(Role.COLLECTOR, "c", uri=""))
        for one in SERVED:
            error = await call(dial, one)
            assert error is not None
            assert error.code() is grpc.StatusCode.UNAUTHENTICATED
        await dial.close()


async def test_a_revoked_certificate_is_refused_on_connections_that_are_open_too(
    authority: Authority,
) -> None:
    mine = authority.issue(Role.COLLECTOR, "collector")
    revoked: set[str] = set()
    async with serving(authority.issue(Role.AGENT, "h1"), revoked) as address:
        dial = Dial(address, AGENT, mine)
        assert await call(dial, method("Describe")) is None
        revoked.add(serial(mine))
        for one in SERVED:
            error = await call(dial, one)
            assert error is not None
            assert error.code() is grpc.StatusCode.PERMISSION_DENIED
            assert "collector collector is revoked" in problem(error).message
        authority.issue(Role.COLLECTOR, "collector")
        assert await call(dial, method("Describe")) is None
        await dial.close()


async def test_a_stream_tells_nothing_more_to_whom_is_revoked_meanwhile(
    authority: Authority, monkeypatch: pytest.MonkeyPatch
) -> None:
    go_on = asyncio.Event()

    async def stream(_self: object, _request: Any, _context: object) -> AsyncIterator[Any]:
        yield agent_pb2.StreamEventsResponse()
        await go_on.wait()
        yield agent_pb2.StreamEventsResponse()

    monkeypatch.setattr(Servicer, "StreamEvents", stream, raising=True)
    mine, revoked = authority.issue(Role.COLLECTOR, "collector"), set[str]()
    async with serving(authority.issue(Role.AGENT, "h1"), revoked) as address:
        dial = Dial(address, AGENT, mine)
        stub: Any = agent_pb2_grpc.AgentServiceStub(await dial.channel())
        reading = stub.StreamEvents(agent_pb2.StreamEventsRequest(), timeout=10)
        assert await reading.read() is not grpc.aio.EOF
        revoked.add(serial(mine))
        go_on.set()
        with pytest.raises(grpc.aio.AioRpcError, match="is revoked") as caught:
            await reading.read()
        assert caught.value.code() is grpc.StatusCode.PERMISSION_DENIED
        await dial.close()


async def test_without_tls_everyone_on_this_host_may_do_everything() -> None:
    async with serving(None) as address:
        dial = Dial(address, AGENT)
        for one in SERVED:
            assert _reached(await call(dial, one)), path(one)
        await dial.close()


async def test_a_call_that_does_not_exist_is_told_as_such(authority: Authority) -> None:
    async with serving(authority.issue(Role.AGENT, "h1")) as address:
        dial = Dial(address, AGENT, authority.issue(Role.COLLECTOR, "collector"))
        made: Any = (await dial.channel()).unary_unary("/tonnage.v1.AgentService/Format")
        with pytest.raises(grpc.aio.AioRpcError) as caught:
            await made(b"", timeout=10)
        assert caught.value.code() is grpc.StatusCode.UNIMPLEMENTED
        await dial.close()


async def test_each_command_leaves_a_line_with_who_what_whence_and_outcome(
    authority: Authority,
) -> None:
    mine = authority.issue(Role.COLLECTOR, "collector")
    async with serving(authority.issue(Role.AGENT, "h1")) as address:
        dial = Dial(address, AGENT, mine)
        with capture_logs() as lines:
            await call(dial, method("CancelRun"), run_id="run-1")
            await call(dial, method("StartRun"), plan=model_pb2.Plan(run_id="run-2"))
            await call(dial, method("Launch"), target=model_pb2.Target(id="t"))
            await call(dial, method("DestroyInstance"), instance_id="bad")
            await call(dial, method("StopAll"))
            await call(dial, method("Describe"))
            await call(dial, method("AckEvents"), run_id="run-1")
        await dial.close()
    assert [(line["call"], line["subject"], line["outcome"]) for line in lines] == [
        ("CancelRun", "run-1", "ok"),
        ("StartRun", "run-2", "ok"),
        ("Launch", "t", "ok"),
        ("DestroyInstance", "bad", "not_found"),
        ("StopAll", "", "ok"),
    ]
    assert {line["who"] for line in lines} == {"tonnage:collector/collector"}
    assert {line["serial"] for line in lines} == {serial(mine)}
    assert all(line["peer"].startswith("ipv4:127.0.0.1:") for line in lines)


async def test_a_refused_call_of_any_kind_leaves_a_line(authority: Authority) -> None:
    async with serving(authority.issue(Role.AGENT, "h1")) as address:
        dial = Dial(address, AGENT, authority.issue(Role.VIEWER, "ann"))
        with capture_logs() as lines:
            await call(dial, method("Describe"))
        await dial.close()
    (line,) = lines
    assert (line["event"], line["who"]) == ("refused", "tonnage:viewer/ann")
    assert (line["call"], line["outcome"]) == ("Describe", "permission_denied")
    assert "it is for collector" in line["reason"]


async def test_a_unix_socket_is_for_its_owner_and_group_and_not_taken_from_another(
    tmp_path: Path,
) -> None:
    at = UnixSocket(tmp_path / "agent.sock")
    first, second = (Listener(cast("AgentServicer", Servicer()), None, ()) for _ in range(2))
    assert first.bind(at) == at
    assert at.path.stat().st_mode & 0o777 == 0o660
    with pytest.raises(ConfigError, match="another program answers there") as caught:
        second.bind(at)
    assert "--listen" in caught.value.problem.remedy
    await first.start()
    dial = Dial(str(at), AGENT)
    assert await call(dial, method("Describe")) is None
    await dial.close()
    await first.stop(0)
    await second.stop(0)
