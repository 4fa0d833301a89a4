"""Who may call what: every method, by every role, with every certificate that is not good.

Against a real listener with mutual TLS on loopback; what is served behind it answers
every method with an empty message.
"""

from __future__ import annotations

import asyncio
import getpass
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import grpc
import pytest
import pytest_asyncio
from google.protobuf import message_factory
from grpc import aio
from grpc_health.v1 import health_pb2, health_pb2_grpc
from grpc_reflection.v1alpha import reflection_pb2, reflection_pb2_grpc

from collector.errors import ConfigError
from collector.model import AuditEntry
from collector.server.access import ALLOWED
from collector.server.listener import Listener
from collector.server.notable import READS
from collector.server.security import Security, Settings
from collector.stores.base import Store
from collector.stores.open import open_store
from tests.integration.keyring import DAY, Keyring, make_keyring
from tonnage.address import Address, UnixSocket
from tonnage.identity import Identity, Role
from tonnage.tls import TlsFiles, client_credentials, peer_options
from tonnage.v1 import collector_pb2 as pb
from tonnage.v1 import collector_pb2_grpc

pytestmark = pytest.mark.asyncio(loop_scope="module")

SERVICE = pb.DESCRIPTOR.services_by_name["CollectorService"]
METHODS = {method.name: method for method in SERVICE.methods}
AT_TLS = ("no-certificate", "plain", "expired", "wrong-authority")
AT_GATE = ("revoked", "nameless")
ROLES = tuple(str(role) for role in Role)
COLLECTOR = Identity(Role.COLLECTOR, "collector")
# The libraries' stubs are typed for channels that are not asynchronous.
HealthStub: Any = health_pb2_grpc.HealthStub
ReflectionStub: Any = reflection_pb2_grpc.ServerReflectionStub


def _answers() -> collector_pb2_grpc.CollectorServiceServicer:
    """A service that answers each method with an empty message; WatchRun never ends."""

    def unary(method: Any) -> Any:
        async def call(self: Any, request: Any, context: Any) -> Any:
            return message_factory.GetMessageClass(method.output_type)()

        return call

    def stream(method: Any) -> Any:
        async def call(self: Any, request: Any, context: Any) -> Any:
            yield message_factory.GetMessageClass(method.output_type)()
            if getattr(request, "run_id", "") == "endless":
                await asyncio.Event().wait()

        return call

    made = {name: (stream if m.server_streaming else unary)(m) for name, m in METHODS.items()}
    cls = type("Answers", (collector_pb2_grpc.CollectorServiceServicer,), made)
    return cls()  # type: ignore[no-any-return]


@dataclass
class Served:
    address: str
    keyring: Keyring
    security: Security
    store: Store
    channels: dict[str, aio.Channel]

    async def call(self, kind: str, name: str, **fields: Any) -> grpc.StatusCode:
        """Call a method as ``kind``; how it ended."""
        method = METHODS[name]
        request: Any = message_factory.GetMessageClass(method.input_type)(**fields)
        if name == "Register" and not fields:
            request.facts.host = "h1"
        stub = collector_pb2_grpc.CollectorServiceStub(self.channels[kind])
        try:
            made = getattr(stub, name)(request, timeout=10)
            if method.server_streaming:
                assert [answer async for answer in made]
            else:
                await made
        except aio.AioRpcError as error:
            return error.code()
        return grpc.StatusCode.OK

    async def entries(self) -> list[AuditEntry]:
        await self.security.audit.flush()
        return list(await self.store.audit(1000))


@asynccontextmanager
async def serving(folder: Path) -> AsyncIterator[Served]:
    async with AsyncExitStack() as stack:
        keyring = make_keyring(folder)
        store = await open_store(str(folder / "store"))
        stack.push_async_callback(store.close)
        settings = Settings(keyring.folder, DAY, "")
        security = await Security.open(store, settings, lambda name: False)
        await stack.enter_async_context(security)
        listener = Listener(Address("127.0.0.1", 0), security.tls, security.interceptors)
        await listener.start(_answers())
        stack.push_async_callback(listener.stop, 0)
        await security.revoking.revoke(keyring.serial("revoked"), "")
        address = str(listener.address)
        channels = {kind: _channel(address, files) for kind, files in keyring.pairs.items()}
        channels["plain"] = aio.insecure_channel(address)
        channels["no-certificate"] = aio.secure_channel(
            address,
            grpc.ssl_channel_credentials(keyring.folder.authorities.read_bytes()),
            peer_options(COLLECTOR),
        )
        for channel in channels.values():
            stack.push_async_callback(channel.close)
        yield Served(address, keyring, security, store, channels)


def _channel(address: str, files: TlsFiles) -> aio.Channel:
    return aio.secure_channel(address, client_credentials(files), peer_options(COLLECTOR))


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def served(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Served]:
    async with serving(tmp_path_factory.mktemp("access")) as made:
        yield made


async def test_the_table_names_every_method_and_no_other() -> None:
    assert set(ALLOWED) == set(METHODS)
    assert set(READS) <= set(METHODS)


# Written out once more, by hand, so that a slip in the table does not pass here.
EXPECTED = {
    "agent": {"Register", "RenewCertificate"},
    "viewer": {
        *("ListHosts", "WatchRun", "ListRuns", "GetRun", "ExportTrials", "ListInstances"),
        *("ListPrunable", "RenewCertificate"),
    },
    "operator": set(METHODS) - {"Register"},
    "collector": set[str](),
}


@pytest.mark.parametrize("name", METHODS)
@pytest.mark.parametrize("kind", [*ROLES, *AT_TLS, *AT_GATE])
async def test_every_method_by_everyone(served: Served, kind: str, name: str) -> None:
    code = await served.call(kind, name)
    if kind in AT_TLS:
        assert code is grpc.StatusCode.UNAVAILABLE
    elif kind in ROLES and name in EXPECTED[kind]:
        assert code is grpc.StatusCode.OK
    else:
        assert code is grpc.StatusCode.PERMISSION_DENIED


@pytest.mark.parametrize("kind", [*ROLES, *AT_TLS, *AT_GATE])
async def test_health_and_reflection_are_for_every_good_certificate(
    served: Served, kind: str
) -> None:
    channel: Any = served.channels[kind]
    check = HealthStub(channel).Check
    reflect = ReflectionStub(channel).ServerReflectionInfo
    asked = reflection_pb2.ServerReflectionRequest(list_services="")
    if kind in ROLES:
        answer = await check(health_pb2.HealthCheckRequest(), timeout=10)
        assert answer.status == health_pb2.HealthCheckResponse.SERVING
        (listed,) = [answer async for answer in reflect(iter([asked]), timeout=10)]
        names = {service.name for service in listed.list_services_response.service}
        assert SERVICE.full_name in names
        return
    refused = "UNAVAILABLE" if kind in AT_TLS else "PERMISSION_DENIED"
    with pytest.raises(aio.AioRpcError) as health:
        await check(health_pb2.HealthCheckRequest(), timeout=10)
    with pytest.raises(aio.AioRpcError) as reflection:
        assert [answer async for answer in reflect(iter([asked]), timeout=10)] == []
    assert (health.value.code().name, reflection.value.code().name) == (refused, refused)


async def test_an_agent_registers_under_its_own_name_alone(served: Served) -> None:
    facts = {"host": "h2"}
    assert await served.call("agent", "Register", facts=facts) is grpc.StatusCode.PERMISSION_DENIED
    (entry, *_) = await served.entries()
    assert (entry.command, entry.subject, entry.name) == ("Register", "h2", "h1")
    assert "the certificate is for host h1" in entry.reason


async def test_a_role_that_does_not_suffice_is_told_and_what_would(served: Served) -> None:
    stub = collector_pb2_grpc.CollectorServiceStub(served.channels["viewer"])
    with pytest.raises(aio.AioRpcError) as refused:
        await stub.StopAll(pb.CollectorServiceStopAllRequest(), timeout=10).read()
    said = refused.value.details() or ""
    assert all(word in said for word in ("StopAll", "viewer", "vic", "operator", "pki issue"))


async def test_commands_and_refusals_are_noted_and_reads_are_not(tmp_path: Path) -> None:
    async with serving(tmp_path) as served:
        await served.call("operator", "CancelRun", run_id="r-1")
        await served.call("operator", "ListRuns")
        await served.call("viewer", "DestroyInstance", host="h1", instance_id="i-1")
        await served.call("revoked", "ListRuns")
        for _ in range(3):
            await served.call("agent", "Register")
        noted = [(e.command, e.role, e.name, e.subject, e.outcome) for e in await served.entries()]
        assert noted == [
            ("Register", "agent", "h1", "h1", "ok"),
            ("ListRuns", "operator", "olga", "", "PERMISSION_DENIED"),
            ("DestroyInstance", "viewer", "vic", "i-1", "PERMISSION_DENIED"),
            ("CancelRun", "operator", "olga", "r-1", "ok"),
            ("IssueCertificate", "local", getpass.getuser(), "operator/olga", "ok"),
            ("IssueCertificate", "local", getpass.getuser(), "collector/collector", "ok"),
        ]
        asked = (await served.entries())[:-2]
        assert all(e.peer.startswith("127.0.0.1:") for e in asked)


async def test_revoking_ends_open_streams_and_refuses_the_next_call(tmp_path: Path) -> None:
    async with serving(tmp_path) as served:
        viewer = collector_pb2_grpc.CollectorServiceStub(served.channels["viewer"])
        watch = viewer.WatchRun(pb.WatchRunRequest(run_id="endless"), timeout=30)
        assert await watch.read() is not aio.EOF
        health = HealthStub(served.channels["viewer"])
        beat = health.Watch(health_pb2.HealthCheckRequest(), timeout=30)
        assert await beat.read() is not aio.EOF
        other = collector_pb2_grpc.CollectorServiceStub(served.channels["operator"])
        kept = other.WatchRun(pb.WatchRunRequest(run_id="endless"), timeout=30)
        assert await kept.read() is not aio.EOF
        await served.security.revoking.revoke(served.keyring.serial("viewer"), "")
        for stream in (watch, beat):
            with pytest.raises(aio.AioRpcError, match="revoked"):
                await stream.read()
        assert await served.call("viewer", "ListRuns") is grpc.StatusCode.PERMISSION_DENIED
        assert not kept.done()
        kept.cancel()


async def test_the_renewed_certificate_of_a_collector_is_shown_without_restart(
    tmp_path: Path,
) -> None:
    async with serving(tmp_path) as served:
        before = served.keyring.folder.own_certificate().serial_number
        fresh = served.keyring.folder.renew_own(served.keyring.folder.authority())
        assert fresh.serial_number != before
        channel = _channel(served.address, served.keyring.pairs["operator"])
        served.channels["again"] = channel
        try:
            assert await served.call("again", "ListRuns") is grpc.StatusCode.OK
        finally:
            await channel.close()


async def test_without_tls_only_this_host_is_served(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="without TLS"):
        Listener(Address("192.0.2.1", 0))
    path = tmp_path / "tonnage.sock"
    local = Listener(UnixSocket(path))
    await local.start(_answers())
    try:
        async with aio.insecure_channel(f"unix:{path}") as channel:
            stub = collector_pb2_grpc.CollectorServiceStub(channel)
            await stub.ListRuns(pb.ListRunsRequest(), timeout=10)
        assert path.stat().st_mode & 0o777 == 0o660
        with pytest.raises(ConfigError, match="another program answers"):
            await Listener(UnixSocket(path)).start(_answers())
    finally:
        await local.stop(0)
