"""What only the docker runtime has, on a real engine."""

from __future__ import annotations

import asyncio
import contextlib
import io
import tarfile
import uuid
from collections.abc import AsyncIterator, Iterator
from dataclasses import replace
from pathlib import Path

import pytest
from docker.api.client import APIClient

from agent.clock import Mark, Timeline
from agent.errors import (
    ImageNotFound,
    InstanceExited,
    InvalidInput,
    LaunchFailed,
    RuntimeUnavailable,
)
from agent.process import comm
from agent.runtimes.base import LaunchSpec, Prepared, Scope
from agent.runtimes.docker import DockerRuntime, EngineProfile
from agent.runtimes.docker.config import container_name
from agent.runtimes.docker.instance import DockerInstance
from agent.runtimes.registry import RuntimeSettings
from tests.contracts.runtimes import IDLE, KINDS, READY_LINE, Stand
from tonnage.model import (
    HttpHealth,
    HttpReadiness,
    Network,
    RuntimeState,
    TcpReadiness,
    Workload,
)

pytestmark = pytest.mark.docker

HTTP = Workload(
    name="http",
    image="tonnage/http:1",
    readiness=HttpReadiness(8080, "/health"),
    health=HttpHealth(8080, "/health"),
)
SHELL = "/bin/sh"
OWN_SCRIPT = "echo user=$(id -u) dir=$(pwd) own=$OWN arg=$0; echo TONNAGE READY; exec sleep 1000"


@pytest.fixture
def api(docker_host: str) -> Iterator[APIClient]:
    """The engine without Tonnage in between."""
    client = APIClient(base_url=docker_host, version="auto")
    yield client
    client.close()


@pytest.fixture
async def stand(docker_host: str, tmp_path: Path) -> AsyncIterator[Stand]:
    name = f"h{uuid.uuid4().hex[:10]}"
    settings = RuntimeSettings(name, tmp_path, docker_host=docker_host)
    runtime = DockerRuntime(EngineProfile("docker"), settings)
    stand = Stand(KINDS["docker"], runtime, settings, run_id=name)
    try:
        yield stand
    finally:
        await stand.close()


def shell(script: str) -> Workload:
    """The idle image with a script of the test's own."""
    return replace(IDLE, health=None, command=(SHELL, "-c", script))


async def prepared(stand: Stand, workload: Workload) -> Prepared:
    return await stand.runtime.prepare(workload)


async def on_bridge(stand: Stand, workload: Workload) -> LaunchSpec:
    spec = stand.spec(await prepared(stand, workload))
    return replace(spec, target=replace(spec.target, network=Network.BRIDGE))


async def test_a_container_is_made_as_asked(stand: Stand, api: APIClient) -> None:
    workload = replace(IDLE, environment={"COLOUR": "blue"})
    spec = stand.spec(await prepared(stand, workload))
    target = replace(spec.target, memory_bytes=64 << 20, cpus=2)
    instance = await stand.runtime.launch(replace(spec, target=target), Timeline())
    await stand.wait_ready(instance)
    found = api.inspect_container(container_name(instance.id))
    host, config = found["HostConfig"], found["Config"]
    assert host["Memory"] == 64 << 20
    assert host["NanoCpus"] == 2_000_000_000
    assert host["NetworkMode"] == "none"
    assert host["LogConfig"]["Type"] == "none"
    assert host["RestartPolicy"]["Name"] == "no"
    assert not host["Init"]
    assert config["OpenStdin"]
    assert "COLOUR=blue" in config["Env"]
    assert config["Labels"]["tonnage.agent"] == stand.settings.agent_id
    assert config["Labels"]["tonnage.run"] == stand.run_id
    assert config["Labels"]["tonnage.trial"] == "trial-1"
    assert config["Labels"]["tonnage.instance"] == instance.id
    limit = instance.processes().cgroups["memory"] / "memory.limit_in_bytes"
    assert int(limit.read_text()) == 64 << 20


async def test_stdin_is_closed_where_nothing_is_asked(stand: Stand, api: APIClient) -> None:
    instance = await stand.launch(replace(IDLE, health=None))
    await stand.wait_ready(instance)
    assert not api.inspect_container(container_name(instance.id))["Config"]["OpenStdin"]
    assert await instance.answers()


@pytest.fixture
def own_image(api: APIClient, tmp_path: Path) -> Iterator[str]:
    """An image of somebody else: own entrypoint, command, user, folder and variable."""
    reference = f"tonnage-test/own:{uuid.uuid4().hex[:8]}"
    archive = io.BytesIO()
    container = api.create_container_from_config({"Image": IDLE.image, "Cmd": ["x"]}, None)["Id"]
    try:
        for chunk in api.export(container):
            archive.write(chunk)
    finally:
        api.remove_container(container)
    archive.seek(0)
    with tarfile.open(fileobj=archive, mode="a") as tar:
        folder = tarfile.TarInfo("srv/work")
        folder.type, folder.mode = tarfile.DIRTYPE, 0o755
        tar.addfile(folder)
    changes = [
        f'ENTRYPOINT ["/bin/sh", "-c", "{OWN_SCRIPT}"]',
        'CMD ["from-the-image"]',
        "USER 1234",
        "WORKDIR /srv/work",
        "ENV OWN=mine",
    ]
    repository, tag = reference.split(":")
    file = tmp_path / "own.tar"
    file.write_bytes(archive.getvalue())
    api.import_image(str(file), repository, tag, changes=changes)
    yield reference
    api.remove_image(reference, force=True)


async def test_any_image_runs_with_its_own_settings(own_image: str, stand: Stand) -> None:
    instance = await stand.launch(replace(IDLE, image=own_image, health=None))
    await stand.wait_ready(instance)
    assert "user=1234 dir=/srv/work own=mine arg=from-the-image" in instance.evidence()


async def test_a_command_replaces_entrypoint_and_command(own_image: str, stand: Stand) -> None:
    workload = shell("echo $OWN $MORE at $(pwd) as $(id -u); echo TONNAGE READY; exec sleep 1000")
    workload = replace(workload, image=own_image, environment={"MORE": "and more"})
    instance = await stand.launch(workload)
    await stand.wait_ready(instance)
    assert "mine and more at /srv/work as 1234" in instance.evidence()


async def test_http_readiness_asks_the_containers_own_address(stand: Stand) -> None:
    timeline = Timeline()
    instance = await stand.runtime.launch(await on_bridge(stand, HTTP), timeline)
    await stand.wait_ready(instance)
    assert timeline.get(Mark.READY) is not None
    assert await instance.answers()
    await instance.destroy()
    assert timeline.in_order()
    assert not await instance.answers()


async def test_tcp_readiness_wants_bytes(stand: Stand) -> None:
    readiness = TcpReadiness(8080, send="GET /health HTTP/1.0\r\n\r\n")
    workload = replace(HTTP, readiness=readiness, health=None)
    instance = await stand.runtime.launch(await on_bridge(stand, workload), Timeline())
    await stand.wait_ready(instance)


async def test_a_port_that_only_accepts_is_not_ready(stand: Stand) -> None:
    workload = replace(HTTP, readiness=TcpReadiness(8080))
    await is_up_and_never_ready(stand, workload)


async def test_a_status_that_is_not_2xx_is_not_ready(stand: Stand) -> None:
    workload = replace(HTTP, readiness=HttpReadiness(8080, "/no-such-page"))
    await is_up_and_never_ready(stand, workload)


async def is_up_and_never_ready(stand: Stand, workload: Workload) -> None:
    """It serves, as its health check shows, and yet does not count as ready."""
    instance = await stand.runtime.launch(await on_bridge(stand, workload), Timeline())
    async with asyncio.timeout(stand.kind.ready_seconds):
        while not await instance.answers():  # noqa: ASYNC110 (that is what is asked)
            await asyncio.sleep(0.05)
    with pytest.raises(TimeoutError):
        async with asyncio.timeout(1.0):
            await instance.ready()


async def test_an_end_before_the_port_opens_is_told(stand: Stand) -> None:
    workload = replace(shell("echo giving up; exit 7"), readiness=TcpReadiness(8080))
    instance = await stand.runtime.launch(await on_bridge(stand, workload), Timeline())
    with pytest.raises(InstanceExited, match="exit code 7") as caught:
        await stand.wait_ready(instance)
    assert "giving up" in caught.value.evidence


@pytest.mark.parametrize("readiness", [TcpReadiness(80), HttpReadiness(80)])
async def test_a_port_without_a_network_is_refused(
    stand: Stand, readiness: TcpReadiness | HttpReadiness
) -> None:
    with pytest.raises(InvalidInput, match="cannot be reached") as caught:
        await stand.launch(replace(IDLE, readiness=readiness))
    assert "bridge" in caught.value.problem.remedy


async def test_a_ready_line_in_pieces_is_one_line(stand: Stand) -> None:
    script = "printf 'TONN'; sleep 0.1; printf 'AGE RE' >&2; sleep 0.1; printf 'ADY'; exec sleep 99"
    instance = await stand.launch(shell(script))
    await stand.wait_ready(instance)
    assert instance.evidence().endswith(READY_LINE)


async def test_a_flood_of_output_hides_no_ready_line(stand: Stand) -> None:
    script = "yes abcdefghijklmnop | head -c 20000000; echo TONNAGE READY; exec sleep 1000"
    instance = await stand.launch(shell(script))
    await stand.wait_ready(instance)
    assert len(instance.evidence()) < 10_000


async def test_a_workload_that_closes_its_output_is_still_watched(stand: Stand) -> None:
    instance = await stand.launch(shell("echo so long; exec >&- 2>&-; sleep 2.5; exit 5"))
    with pytest.raises(InstanceExited, match="exit code 5") as caught:
        await stand.wait_ready(instance)
    assert "so long" in caught.value.evidence


async def test_want_of_memory_is_named(stand: Stand) -> None:
    spec = stand.spec(await prepared(stand, shell("exec tail /dev/zero")))
    spec = replace(spec, target=replace(spec.target, memory_bytes=16 << 20))
    instance = await stand.runtime.launch(spec, Timeline())
    with pytest.raises(InstanceExited, match=r"137.*memory"):
        await stand.wait_ready(instance)


async def test_a_command_that_does_not_exist_fails_the_launch(stand: Stand) -> None:
    prepare = await prepared(stand, replace(IDLE, command=("/no/such/program",)))
    spec = stand.spec(prepare)
    with pytest.raises(LaunchFailed, match="no such file"):
        await stand.runtime.launch(spec, Timeline())
    assert await stand.runtime.recover(spec.instance_id) is None


async def test_an_image_that_went_away_after_preparing_is_named(stand: Stand) -> None:
    there = await prepared(stand, IDLE)
    gone = replace(there, digest="sha256:" + "0" * 64)
    with pytest.raises(ImageNotFound) as caught:
        await stand.runtime.launch(stand.spec(gone), Timeline())
    assert caught.value.problem.value == IDLE.image


async def test_a_pull_that_cannot_succeed_says_so(stand: Stand) -> None:
    missing = replace(IDLE, image="127.0.0.1:1/no/such:1", pull=True)
    with pytest.raises((ImageNotFound, RuntimeUnavailable), match=r"127\.0\.0\.1:1"):
        await stand.runtime.prepare(missing)


async def test_a_name_in_use_is_left_to_its_holder(stand: Stand) -> None:
    spec = stand.spec(await prepared(stand, IDLE))
    first = await stand.runtime.launch(spec, Timeline())
    with pytest.raises(LaunchFailed, match="in use"):
        await stand.runtime.launch(spec, Timeline())
    await stand.wait_ready(first)
    assert await first.alive()


async def test_reaping_spares_containers_of_anybody_else(stand: Stand, api: APIClient) -> None:
    decoys = {
        f"tonnage-{stand.run_id}-decoy": {},
        f"{stand.run_id}-labelled": {"tonnage.instance": "x", "tonnage.agent": "another"},
        f"{stand.run_id}-prefix": {"tonnage.agent": f"{stand.settings.agent_id}x"},
    }
    mine = await stand.ready()
    try:
        for name, labels in decoys.items():
            api.create_container_from_config({"Image": IDLE.image, "Labels": labels}, name)
        assert list(await stand.another().reap(Scope(stand.settings.agent_id))) == [mine.id]
        assert await stand.runtime.recover(f"{stand.run_id}-decoy") is None
        for name in decoys:
            assert api.inspect_container(name)["State"]["Status"] == "created"
    finally:
        for name in decoys:
            api.remove_container(name, force=True)


async def test_many_launches_cancelled_at_odd_moments_leave_nothing(
    stand: Stand, api: APIClient
) -> None:
    prepare = await prepared(stand, IDLE)
    launches = [
        asyncio.ensure_future(stand.runtime.launch(stand.spec(prepare), Timeline()))
        for _ in range(10)
    ]
    for number, launch in enumerate(launches):
        await asyncio.wait([launch], timeout=0.012 * (number % 3))
        launch.cancel()
        launch.cancel()
    for result in await asyncio.gather(*launches, return_exceptions=True):
        if isinstance(result, DockerInstance):
            await result.destroy()
        else:
            assert isinstance(result, asyncio.CancelledError)
    await stand.runtime.close()
    label = f"tonnage.agent={stand.settings.agent_id}"
    assert api.containers(all=True, filters={"label": label}) == []


async def test_a_thousand_looks_ask_the_engine_nothing(stand: Stand) -> None:
    instance = await stand.ready()
    await instance.alive()
    assert isinstance(stand.runtime, DockerRuntime)
    calls = 0
    original = stand.runtime._engine._run

    def counting(*arguments: object) -> object:
        nonlocal calls
        calls += 1
        return original(*arguments)  # type: ignore[arg-type]  # passed on as they came

    stand.runtime._engine._run = counting  # type: ignore[method-assign,assignment]  # counts
    for _ in range(1000):
        assert await instance.alive()
        assert instance.processes().pids
        assert instance.cpu_ns()
    assert calls == 0


async def test_the_engines_daemons_are_found_behind_its_socket(stand: Stand) -> None:
    names = [comm(pid) for pid in stand.runtime.engine_pids()]
    assert "dockerd" in names
    assert "containerd" in names
    assert not any(name.startswith("containerd-shim") for name in names)


async def test_the_fingerprint_names_the_parts(stand: Stand) -> None:
    found = await stand.runtime.fingerprint()
    assert {"containerd", "runc", "storage", "cgroup_version", "api"} <= set(found.components)


class Line:
    """A wire to the engine that can be cut: closes when a request holds a text."""

    def __init__(self, engine: str, here: Path, cut_at: bytes) -> None:
        self._engine = engine.removeprefix("unix://")
        self._here = here
        self._cut_at = cut_at
        self._server: asyncio.Server | None = None
        self._writers: set[asyncio.StreamWriter] = set()

    async def __aenter__(self) -> str:
        self._server = await asyncio.start_unix_server(self._serve, self._here)
        return f"unix://{self._here}"

    async def __aexit__(self, *_: object) -> None:
        assert self._server is not None
        self._server.close()
        for writer in set(self._writers):
            writer.transport.abort()

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        there, onward = await asyncio.open_unix_connection(self._engine)
        self._writers |= {writer, onward}
        back = asyncio.ensure_future(self._pass(there, writer))
        await self._pass(reader, onward, self._cut_at)
        back.cancel()
        for end in (writer, onward):
            end.transport.abort()

    async def _pass(
        self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, cut_at: bytes = b""
    ) -> None:
        with contextlib.suppress(ConnectionError):
            while data := await reader.read(65536):
                if cut_at and cut_at in data:
                    await self.__aexit__()
                    return
                writer.write(data)
                await writer.drain()


@pytest.mark.parametrize("cut_at", [b"/containers/create", b"/attach", b"/start"])
async def test_an_engine_that_goes_away_in_a_launch_is_named(
    stand: Stand, docker_host: str, tmp_path: Path, cut_at: bytes
) -> None:
    async with Line(docker_host, tmp_path / "cut.sock", cut_at) as url:
        settings = replace(stand.settings, docker_host=url)
        runtime = DockerRuntime(EngineProfile("docker"), settings)
        try:
            spec = stand.spec(await runtime.prepare(IDLE))
            with pytest.raises(RuntimeUnavailable, match=r"cut\.sock") as caught:
                await runtime.launch(spec, Timeline())
            assert caught.value.problem.remedy
            assert (await runtime.fingerprint()).state is RuntimeState.UNHEALTHY
        finally:
            await runtime.close()
    await stand.another().reap(stand.scope)
    assert await stand.runtime.recover(spec.instance_id) is None


async def test_an_engine_that_is_not_there_is_a_state_with_a_reason(tmp_path: Path) -> None:
    socket = f"unix://{tmp_path}/none.sock"
    runtime = DockerRuntime(
        EngineProfile("docker"), RuntimeSettings("a", tmp_path, docker_host=socket)
    )
    found = await runtime.fingerprint()
    assert found.state is RuntimeState.UNDETECTED
    assert "none.sock" in found.reason
    assert runtime.engine_pids() == ()
    with pytest.raises(RuntimeUnavailable, match="does not answer"):
        await runtime.prepare(IDLE)
    await runtime.close()
