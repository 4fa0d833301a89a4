"""An agent with an identity: its endpoints, what it remembers, and how it stays current."""

from __future__ import annotations

import asyncio
import http.client
import json
import socket
import ssl
from collections.abc import Iterator
from pathlib import Path

import grpc
import pytest

from tests.integration.agents import spawn
from tests.integration.enrolling import fleet, serving
from tests.integration.test_agent_registration import Register, serve
from tests.pki import Authority, serial
from tonnage import PROTOCOL
from tonnage.dial import Dial
from tonnage.identity import Identity, Role
from tonnage.tls import TlsFiles, certificate_identity
from tonnage.v1 import agent_pb2, agent_pb2_grpc


def identity(folder: Path, authority: Authority, name: str = "h1") -> Path:
    """Put an agent's identity where ``join`` would; the data folder."""
    issued = authority.issue(Role.AGENT, name)
    made = folder / "identity"
    made.mkdir(parents=True)
    (made / "agent.pem").write_bytes(issued.certificate.read_bytes())
    (made / "agent.key").write_bytes(issued.key.read_bytes())
    (made / "ca.pem").write_bytes(authority.pem)
    return folder


def scrape(at: str, authority: str, token: str) -> int:
    """The status of a scrape over TLS that expects host h1; blocking."""
    host, _, port = at.rpartition(":")
    context = ssl.create_default_context(cadata=authority)
    connection = http.client.HTTPSConnection(host, int(port), timeout=10)
    plain = socket.create_connection((host, int(port)), 10)
    connection.sock = context.wrap_socket(
        plain, server_hostname=Identity(Role.AGENT, "h1").dns_name
    )
    try:
        connection.request("GET", "/metrics", headers={"Authorization": f"Bearer {token}"})
        return connection.getresponse().status
    finally:
        connection.close()


@pytest.fixture
def authority(tmp_path: Path) -> Authority:
    return Authority(tmp_path / "authority")


async def test_metrics_are_for_the_fleets_scraper_without_the_collector_too(
    tmp_path: Path,
) -> None:
    data = tmp_path / "data"
    async with fleet(tmp_path) as one:
        await one.join(data, "h1")
        files = one.collector_files
        ca = files.authorities.read_text()
        async with serving(data, "h1", files) as agent:
            await one.host("h1")
            token = (one.pki / "scrape.token").read_text().split()[0]
            assert await asyncio.to_thread(scrape, agent.metrics, ca, token) == 200
            assert await asyncio.to_thread(scrape, agent.metrics, ca, "wrong") == 401
        assert token not in "".join(path.read_text() for path in (data / "identity").iterdir())
    async with serving(data, "h1", files) as agent:
        assert await asyncio.to_thread(scrape, agent.metrics, ca, token) == 200


async def test_before_any_token_is_known_metrics_are_for_nobody(
    tmp_path: Path, authority: Authority
) -> None:
    files = authority.issue(Role.COLLECTOR, "collector")
    async with serving(identity(tmp_path / "data", authority), "h1", files) as agent:
        ca = authority.pem.decode()
        assert await asyncio.to_thread(scrape, agent.metrics, ca, "") == 401
        await (await agent.stub()).Describe(agent_pb2.DescribeRequest())


async def test_a_certificate_is_renewed_while_the_agent_serves(tmp_path: Path) -> None:
    """A life of six seconds is renewed after four, and again."""
    data = tmp_path / "data"
    async with fleet(tmp_path, "--certificate-life", "6") as one:
        await one.join(data, "h1")
        pem, key = data / "identity/agent.pem", data / "identity/agent.key"
        async with serving(data, "h1", one.collector_files) as agent:
            shown = {await asyncio.to_thread(_shown, agent.metrics)}
            keys = {key.read_bytes()}
            while len(shown) < 3:
                shown.add(await asyncio.to_thread(_shown, agent.metrics))
                keys.add(key.read_bytes())
            assert len(keys) >= 2, "each has a key of its own"
            fresh = Dial(agent.address, Identity(Role.AGENT, "h1"), one.collector_files)
            stub = agent_pb2_grpc.AgentServiceStub(await fresh.channel())
            await stub.Describe(agent_pb2.DescribeRequest())
            await fresh.close()
            assert agent.process.returncode is None
            assert (await one.host("h1")).address == agent.address
            assert certificate_identity(pem.read_bytes()).name == "h1"


def _shown(at: str) -> str:
    """The certificate that an endpoint shows."""
    host, _, port = at.rpartition(":")
    return ssl.get_server_certificate((host, int(port)), timeout=10)


async def test_what_was_revoked_is_refused_after_a_restart_without_a_collector(
    tmp_path: Path, authority: Authority
) -> None:
    data = identity(tmp_path / "data", authority)
    gone = authority.issue(Role.COLLECTOR, "collector")
    good = _copy(gone, tmp_path / "gone")
    (data / "identity/revoked").write_text(f"{serial(gone)}\n")
    authority.issue(Role.COLLECTOR, "collector")
    async with serving(data, "h1", good) as agent:
        with pytest.raises(grpc.aio.AioRpcError) as caught:
            await (await agent.stub()).Describe(agent_pb2.DescribeRequest())
        assert caught.value.code() is grpc.StatusCode.PERMISSION_DENIED
        assert "revoked" in str(caught.value.details())
        dial = Dial(agent.address, Identity(Role.AGENT, "h1"), gone)
        stub = agent_pb2_grpc.AgentServiceStub(await dial.channel())
        await stub.Describe(agent_pb2.DescribeRequest())
        await dial.close()


def _copy(files: TlsFiles, to: Path) -> TlsFiles:
    to.mkdir()
    copied = TlsFiles(to / "pem", to / "key", files.authorities)
    copied.certificate.write_bytes(files.certificate.read_bytes())
    copied.key.write_bytes(files.key.read_bytes())
    return copied


async def test_revoked_serials_come_with_the_lease_and_stay(
    tmp_path: Path, authority: Authority
) -> None:
    data = identity(tmp_path / "data", authority)
    collector = Register(lease_seconds=0.3)
    collector.revoked = ["AB12"]
    files = authority.issue(Role.COLLECTOR, "collector")
    server, port = await serve(collector, files=files)
    async with serving(data, "h1", files, "--collector", f"127.0.0.1:{port}"):
        async with asyncio.timeout(10):
            first = await collector.calls.get()
            await collector.calls.get()
            collector.revoked = ["CD34"]
            for _ in range(2):
                await collector.calls.get()
    await server.stop(0)
    assert (first.protocol, first.metrics_tls) == (PROTOCOL, True)
    assert (data / "identity/revoked").read_text() == "ab12\ncd34\n", "revoked is for good"


async def test_a_collector_that_cannot_prove_to_be_one_is_not_registered_with(
    tmp_path: Path, authority: Authority
) -> None:
    data = identity(tmp_path / "data", authority)
    impostor = Register(lease_seconds=0.3)
    server, port = await serve(impostor, files=authority.issue(Role.AGENT, "h2"))
    process = await spawn(data, "--collector", f"127.0.0.1:{port}")
    assert process.stderr is not None
    async with asyncio.timeout(20):
        async for line in process.stderr:
            if b"cannot register" in line:
                break
        else:
            pytest.fail("it never tried")
    process.terminate()
    await process.communicate()
    await server.stop(0)
    assert impostor.calls.empty()


async def test_a_protocol_that_does_not_fit_is_told_once(tmp_path: Path) -> None:
    collector = Register(lease_seconds=0.3)
    collector.refusal = "this agent speaks protocol 2, the collector 9: upgrade the agent"
    server, port = await serve(collector)
    process = await spawn(tmp_path, "--collector", f"127.0.0.1:{port}")
    async with asyncio.timeout(20):
        for _ in range(3):
            await collector.calls.get()
    process.terminate()
    _, err = await process.communicate()
    await server.stop(0)
    told = [json.loads(line) for line in err.splitlines()]
    (line,) = [line for line in told if "cannot register" in line["event"]]
    assert collector.refusal in line["reason"]
    assert process.returncode == 0


def _unusable(tmp_path: Path, authority: Authority) -> Iterator[tuple[list[str], str]]:
    data = identity(tmp_path / "data", authority)
    other = identity(tmp_path / "other", authority)
    (other / "identity/agent.key").write_bytes(authority.issue(Role.AGENT, "x").key.read_bytes())
    yield ["--data-dir", str(data), "--name", "h2"], "name: is not the name in the certificate, h1"
    yield ["--tls-dir", str(tmp_path / "none")], "tls_dir: holds no identity"
    yield ["--data-dir", str(other)], "is not the key of"


async def test_an_identity_that_cannot_be_used_stops_the_start(
    tmp_path: Path, authority: Authority
) -> None:
    for flags, says in _unusable(tmp_path, authority):
        process = await spawn(tmp_path / "fresh", *flags)
        out, err = await process.communicate()
        assert (process.returncode, out) == (2, b"")
        assert says in err.decode()
        assert "join" in err.decode()
