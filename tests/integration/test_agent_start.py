"""How an agent starts, and how it says that it cannot."""

from __future__ import annotations

import asyncio
import socket
from pathlib import Path
from typing import Any

import grpc
import pytest
from grpc_health.v1 import health_pb2, health_pb2_grpc
from grpc_reflection.v1alpha import reflection_pb2, reflection_pb2_grpc

from agent.storage.records import frame
from tests.integration.agents import agent, plan, spawn, startup, target
from tonnage.v1 import agent_pb2


async def refusal(data_dir: Path, *flags: str) -> str:
    """What an agent that cannot start says; checks exit code and form."""
    process = await spawn(data_dir, *flags)
    out, err = await process.communicate()
    assert (process.returncode, out) == (2, b"")
    lines = err.decode().splitlines()
    assert len(lines) == 1
    assert lines[0].startswith("tonnage-agent: ")
    return lines[0]


@pytest.mark.parametrize("flag", ["--listen", "--metrics"])
async def test_a_port_in_use(tmp_path: Path, flag: str) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        at = f"127.0.0.1:{port}"
        said = await refusal(tmp_path, flag, at)
    assert f"{flag.removeprefix('--')}: cannot be listened on" in said
    assert at in said
    assert f"Choose another port with {flag}" in said
    assert f"shows who holds port {port}" in said


async def test_a_second_agent_on_the_same_port(tmp_path: Path) -> None:
    async with agent(tmp_path / "a") as first:
        assert first.address in await refusal(tmp_path / "b", "--listen", first.address)


async def test_a_data_folder_that_cannot_be_used(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    said = await refusal(tmp_path / "file")
    assert str(tmp_path / "file") in said
    assert "--data-dir" in said


async def test_a_data_folder_of_another_agent(tmp_path: Path) -> None:
    async with agent(tmp_path):
        assert "another agent uses it" in await refusal(tmp_path)


async def test_a_runtime_that_does_not_exist(tmp_path: Path) -> None:
    said = await refusal(tmp_path, "--runtimes", "fake,xen")
    assert "'xen'" in said
    assert "docker" in said


async def test_an_address_that_others_could_reach(tmp_path: Path) -> None:
    assert "mutual TLS" in await refusal(tmp_path, "--listen", "0.0.0.0:0")


async def test_a_corrupt_journal_is_not_guessed_at(tmp_path: Path) -> None:
    broken = bytearray(frame(1, b"{}") + frame(2, b"{}"))
    broken[0] ^= 1
    (tmp_path / "journal.log").write_bytes(broken)
    said = await refusal(tmp_path)
    assert f"{tmp_path / 'journal.log'}: the record at byte 0 fails its checksum" in said
    assert "Move the file away" in said  # not its folder, which holds the agent's identity


@pytest.mark.parametrize("held", ["", "00000000000", "../x"])
async def test_an_id_that_was_lost_is_not_made_up_anew(tmp_path: Path, held: str) -> None:
    (tmp_path / "agent-id").write_text(held)
    said = await refusal(tmp_path)
    assert f"{tmp_path / 'agent-id'}: holds no agent's id" in said
    assert "Put the id back" in said


async def test_an_agent_that_cannot_serve_goes_on_with_no_run(tmp_path: Path) -> None:
    whole = plan(startup(9, timeout=50), targets=[target("fake:hang", FAKE_DURABLE="1")])
    async with agent(tmp_path) as first:
        await first.start(whole)
        await first.holding(1)
        await first.kill()
    events = tmp_path / "spool" / "run-1" / "events.log"
    before = events.read_bytes()
    with socket.create_server(("127.0.0.1", 0)) as taken:
        for flag in ("--listen", "--metrics"):
            at = f"127.0.0.1:{taken.getsockname()[1]}"
            assert "cannot be listened on" in await refusal(tmp_path, flag, at)
    assert events.read_bytes() == before  # such a start is no attempt to come further


async def test_it_keeps_its_id_over_restarts(tmp_path: Path) -> None:
    ids = []
    for _ in range(2):
        async with agent(tmp_path) as host:
            answer = await host.stub.Describe(agent_pb2.DescribeRequest(refresh=True))
            ids.append(answer.facts.agent_id)
            assert [found.runtime for found in answer.runtimes] == ["fake"]
    assert ids[0] == ids[1] != ""


async def test_health_and_reflection_are_on(tmp_path: Path) -> None:
    async with agent(tmp_path) as host, grpc.aio.insecure_channel(host.address) as channel:
        health: Any = health_pb2_grpc.HealthStub(channel)
        name = "tonnage.v1.AgentService"
        answer = await health.Check(health_pb2.HealthCheckRequest(service=name))
        assert answer.status == health_pb2.HealthCheckResponse.SERVING
        stub: Any = reflection_pb2_grpc.ServerReflectionStub(channel)  # type: ignore[arg-type]  # nor here
        reflect = stub.ServerReflectionInfo()
        await reflect.write(reflection_pb2.ServerReflectionRequest(list_services=""))
        listed = await reflect.read()
        assert name in [service.name for service in listed.list_services_response.service]
        await reflect.done_writing()


async def test_a_stop_while_nothing_happens_is_quick_and_clean(tmp_path: Path) -> None:
    async with agent(tmp_path) as host:
        async with asyncio.timeout(5):
            assert await host.stop() == 0
