"""CollectorService as its client sees it, and the collector as a process."""

from __future__ import annotations

import asyncio
import json
import socket
import sqlite3
import subprocess
import urllib.request
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import grpc
import pytest
from grpc import aio
from grpc_health.v1 import health_pb2, health_pb2_grpc
from grpc_reflection.v1alpha import reflection_pb2, reflection_pb2_grpc

from collector.client import Client
from collector.errors import (
    InvalidInput,
    StoreTooNew,
    TonnageError,
    Unreachable,
)
from tests.integration.collector_process import (
    CollectorProcess,
    collector_process,
    run_to_its_end,
)
from tests.integration.scripted_agent import ScriptedAgent
from tests.runs_made_up import facts, fingerprint, target, whole_run
from tonnage import PROTOCOL, wire
from tonnage.model import ProblemKind, RunState
from tonnage.v1 import collector_pb2, collector_pb2_grpc

TRIALS = 200
_SPEC = {
    "name": "a-test",
    "workload": {"image": "tonnage/idle:1", "readiness": {"log": "TONNAGE READY"}},
    "targets": [{"runtime": "fake"}],
    "startup": {"trials": TRIALS},
}


async def register(address: str, agent: ScriptedAgent) -> None:
    """Make ``agent`` known to the collector at ``address``."""
    async with aio.insecure_channel(address) as channel:
        stub = collector_pb2_grpc.CollectorServiceStub(channel)
        request = collector_pb2.RegisterRequest(
            facts=wire.to_message(facts(agent.host, f"id-{agent.host}")),
            address=agent.address,
            protocol=PROTOCOL,
            runtimes=[wire.to_message(fingerprint())],
        )
        answer = await stub.Register(request, timeout=10, wait_for_ready=True)
        assert answer.lease_seconds > 0


@pytest.fixture
async def collector(tmp_path: Path) -> AsyncIterator[CollectorProcess]:
    async with collector_process(tmp_path) as process:
        yield process


@pytest.fixture
async def client(collector: CollectorProcess) -> AsyncIterator[Client]:
    async with Client(collector.address) as made:
        yield made


@pytest.fixture
async def agent() -> AsyncIterator[ScriptedAgent]:
    async with ScriptedAgent("h1", whole_run(TRIALS)) as made:
        made.batch = 50
        yield made


async def _end(client: Client, run_id: str) -> RunState:
    async for progress in client.watch(run_id):
        last = progress
    return last.state


async def test_a_run_from_submission_to_export(
    collector: CollectorProcess, client: Client, agent: ScriptedAgent
) -> None:
    await register(collector.address, agent)
    (host,) = await client.hosts()
    assert (host.facts.host, host.state, host.address) == ("h1", "healthy", agent.address)
    run_id = await client.submit(json.dumps(_SPEC), "token-1")
    assert await client.submit(json.dumps(_SPEC), "token-1") == run_id
    assert await _end(client, run_id) is RunState.FINISHED
    (listed,) = await client.runs()
    assert (listed.run_id, listed.trials, listed.hosts) == (run_id, TRIALS, ("h1",))
    result = await client.result(run_id[:10])
    assert (result.run.id, result.run.state) == (run_id, "finished")
    assert next(row for row in result.startup if row.phase == "total").ready == TRIALS
    exported = [row async for batch in client.trials(run_id) for row in batch]
    assert [row.trial.number for row in exported] == list(range(TRIALS))
    assert all(row.end is not None and row.target.runtime == "fake" for row in exported)


async def test_a_killed_collector_comes_back_and_every_row_is_there_once(
    tmp_path: Path, agent: ScriptedAgent
) -> None:
    agent.holds = {200: asyncio.Event()}
    async with collector_process(tmp_path) as first:
        await register(first.address, agent)
        async with Client(first.address) as client:
            run_id = await client.submit(json.dumps(_SPEC))
            watched = client.watch(run_id)
            async for progress in watched:
                if progress.hosts[0].ready >= 90:
                    break
            await first.kill()
            agent.holds[200].set()
            async with collector_process(tmp_path, listen=first.address) as second:
                assert [seen.state async for seen in watched][-1] is RunState.FINISHED
                rows = [row async for batch in client.trials(run_id) for row in batch]
                assert [row.trial.number for row in rows] == list(range(TRIALS))
                assert await second.stop() == 0
    assert len(agent.plans) == 1
    assert agent.acked == len(agent.events)
    assert agent.streams[0] == 0
    assert 90 < agent.streams[-1] < 200


async def test_an_instance_by_hand(
    collector: CollectorProcess, client: Client, agent: ScriptedAgent
) -> None:
    await register(collector.address, agent)
    launched = await client.launch("h1", target(), 5.0)
    assert launched.instance.instance_id == "h1-1"
    (found,) = (await client.instances()).instances
    assert (found.host, found.instance) == ("h1", launched.instance)
    assert await client.destroy("h1-1") == "h1"
    assert (await client.instances("h1")).instances == ()
    await client.launch("h1", target(), 5.0)
    assert (await client.clean()).hosts[0].removed == ("h1-1",)


async def test_hosts_that_cannot_be_asked_are_named(
    collector: CollectorProcess, client: Client, agent: ScriptedAgent
) -> None:
    await register(collector.address, agent)
    await agent.die()
    assert (await client.instances()).unreached == ("h1",)
    assert (await client.clean()).unreached == ("h1",)
    with pytest.raises(Unreachable, match="host h1"):
        await client.instances("h1")
    with pytest.raises(Unreachable, match="host h1"):
        await client.submit(json.dumps(_SPEC))


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"hosts": ["nowhere"]}, ["hosts: host nowhere has not registered", "tonnage hosts"]),
        ({"targets": [{"runtime": "qemu-microvm"}]}, ["runtime", "qemu-microvm", "fake"]),
        (
            {"targets": [{"runtime": "fake", "variant": "private"}]},
            ["variant", "private", "default"],
        ),
        ({"startup": {"trials": "many"}}, ["startup.trials", "many"]),
        ({"startup": None}, ["startup"]),
        ({"tragets": []}, ["tragets", "targets"]),
    ],
)
async def test_a_spec_that_cannot_run_is_refused_by_field_value_and_way_out(
    collector: CollectorProcess,
    client: Client,
    agent: ScriptedAgent,
    changes: dict[str, object],
    said: list[str],
) -> None:
    await register(collector.address, agent)
    with pytest.raises(InvalidInput) as refused:
        await client.submit(json.dumps({**_SPEC, **changes}))
    assert all(word in str(refused.value) for word in said)
    assert refused.value.problem.kind is ProblemKind.INVALID_INPUT
    assert await client.runs() == ()


async def test_without_hosts_nothing_is_started(client: Client) -> None:
    with pytest.raises(InvalidInput, match="no healthy host is registered"):
        await client.submit(json.dumps(_SPEC))


async def test_unknown_runs_hosts_and_instances_are_told_as_such(
    collector: CollectorProcess, client: Client
) -> None:
    for call in (client.result("nope"), client.cancel("nope"), client.destroy("nope")):
        with pytest.raises(InvalidInput, match="nope"):
            await call
    with pytest.raises(InvalidInput, match="no host of this name"):
        await client.launch("nope", target(), 1.0)
    async with aio.insecure_channel(collector.address) as channel:
        stub = collector_pb2_grpc.CollectorServiceStub(channel)
        with pytest.raises(aio.AioRpcError) as refused:
            await stub.GetRun(collector_pb2.GetRunRequest(run_id="nope"))
    assert refused.value.code() is grpc.StatusCode.NOT_FOUND
    assert "tonnage runs lists them" in str(refused.value.details())


async def test_what_an_agent_says_of_a_failed_launch_arrives(
    collector: CollectorProcess, client: Client, agent: ScriptedAgent
) -> None:
    await register(collector.address, agent)
    broken = wire.to_message(target())
    broken.workload.image = "tonnage/broken:1"
    with pytest.raises(TonnageError, match="exit code 1") as failed:
        await client.launch("h1", wire.from_message(broken, type(target())), 1.0)
    assert failed.value.problem.kind is ProblemKind.LAUNCH_FAILED


async def test_a_second_agent_of_the_same_name_is_refused(
    collector: CollectorProcess, agent: ScriptedAgent
) -> None:
    await register(collector.address, agent)
    async with aio.insecure_channel(collector.address) as channel:
        stub = collector_pb2_grpc.CollectorServiceStub(channel)
        request = collector_pb2.RegisterRequest(
            facts=wire.to_message(facts("h1", "another")),
            address="127.0.0.1:9",
            protocol=PROTOCOL,
        )
        with pytest.raises(aio.AioRpcError) as refused:
            await stub.Register(request)
    assert refused.value.code() is grpc.StatusCode.INVALID_ARGUMENT
    assert "another agent holds this name" in str(refused.value.details())


async def test_health_and_reflection_are_on(collector: CollectorProcess) -> None:
    async with aio.insecure_channel(collector.address) as channel:
        untyped: Any = channel
        health: Any = health_pb2_grpc.HealthStub(untyped)
        request = health_pb2.HealthCheckRequest(service="tonnage.v1.CollectorService")
        assert (await health.Check(request)).status == health_pb2.HealthCheckResponse.SERVING
        stub: Any = reflection_pb2_grpc.ServerReflectionStub(untyped)
        call = stub.ServerReflectionInfo(
            iter([reflection_pb2.ServerReflectionRequest(list_services="")])
        )
        answer = await anext(aiter(call))
        names = {service.name for service in answer.list_services_response.service}
    assert "tonnage.v1.CollectorService" in names


async def test_the_metrics_page_is_clean_and_tells_the_latest_result(
    collector: CollectorProcess, client: Client, agent: ScriptedAgent, promtool: str
) -> None:
    await register(collector.address, agent)
    await _end(client, await client.submit(json.dumps(_SPEC)))
    page = ""
    async with asyncio.timeout(20):
        while "tonnage_result_age_seconds{" not in page:  # published soon after the end
            page = await asyncio.to_thread(_get, f"http://{collector.http}/metrics")
    assert 'tonnage_collector_hosts{state="healthy"} 1.0' in page
    assert await asyncio.to_thread(_get, f"http://{collector.http}/healthz") == "ok\n"
    checked = await asyncio.to_thread(
        subprocess.run,
        [promtool, "check", "metrics"],
        input=page,
        capture_output=True,
        text=True,
    )
    assert (checked.returncode, checked.stderr) == (0, "")


async def test_a_drain_ends_watchers_and_leaves_the_run(
    collector: CollectorProcess, client: Client, agent: ScriptedAgent
) -> None:
    agent.holds = {100: asyncio.Event()}
    await register(collector.address, agent)
    run_id = await client.submit(json.dumps(_SPEC))
    seen = asyncio.Event()

    async def watch() -> None:
        async for _ in client.watch(run_id):
            seen.set()

    watching = asyncio.create_task(watch())
    await seen.wait()
    assert await collector.stop() == 0  # the client would go on waiting for another
    watching.cancel()
    await asyncio.wait([watching])
    assert not agent.cancelled.is_set()


async def test_a_port_in_use_is_one_clear_line(tmp_path: Path) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        for flag, other in (("--listen", "--http"), ("--http", "--listen")):
            place = f"127.0.0.1:{port}"
            code, out, err = await run_to_its_end(
                flag, place, other, "127.0.0.1:0", "--store", str(tmp_path)
            )
            assert (code, out) == (2, "")
            assert flag in err
            assert place in err
            assert f"Choose another port with {flag}" in err
            assert f"ss -ltnp 'sport = :{port}' shows who holds port {port}" in err
            assert err.count("\n") == 1


async def test_settings_that_cannot_be_used_are_one_clear_line(tmp_path: Path) -> None:
    blocked = tmp_path / "file"
    blocked.write_text("not a folder")
    garbage = tmp_path / "garbage"
    garbage.mkdir()
    (garbage / "tonnage.db").write_text("this is no database, and long enough to say so" * 50)
    cases = {
        "not a loopback address": ["--listen", "0.0.0.0:7070"],
        "HOST:PORT": ["--http", "localhost"],
        "a file stands where": ["--store", str(blocked / "store")],
        "Is a directory": ["--store", f"sqlite:///{tmp_path}"],
        "not a database": ["--store", str(garbage)],
        "no store of the kind redis": ["--store", "redis://somewhere"],
        "names no file": ["--store", "sqlite://"],
        "unrecognized arguments": ["--stroe", "x"],
        "greater than or equal": ["--lease", "0"],
    }
    for said, flags in cases.items():
        code, out, err = await run_to_its_end(
            *flags,
            TONNAGE_COLLECTOR_LISTEN="127.0.0.1:0",
            TONNAGE_COLLECTOR_HTTP="127.0.0.1:0",
            TONNAGE_COLLECTOR_STORE=str(tmp_path / "store"),
        )
        assert (code, out) == (2, ""), (flags, err)
        assert said in err
        assert err.count("\n") == 1
        assert "Traceback" not in err


async def test_a_store_of_a_newer_version_is_one_clear_line(tmp_path: Path) -> None:
    async with collector_process(tmp_path) as process:
        assert await process.stop() == 0
    with sqlite3.connect(tmp_path / "store" / "tonnage.db") as connection:
        connection.execute("UPDATE alembic_version SET version_num = 'r9999'")
    connection.close()
    code, _, err = await run_to_its_end(
        "--listen", "127.0.0.1:0", "--http", "127.0.0.1:0", "--store", str(tmp_path / "store")
    )
    assert code == StoreTooNew.exit_code == 2
    assert "newer than" in err
    assert err.count("\n") == 1


def _get(url: str) -> str:
    with urllib.request.urlopen(url, timeout=10) as page:  # noqa: S310 - our own server
        return str(page.read().decode())
