"""The parts of the docker runtime that need no engine."""

from __future__ import annotations

import asyncio
import os
import select
import shutil
import signal
import socket
import subprocess
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from agent.errors import InvalidInput, RuntimeUnavailable
from agent.process import Identity
from agent.runtimes.base import LaunchSpec, Prepared, Scope
from agent.runtimes.console import Console
from agent.runtimes.docker import DockerRuntime, EngineProfile, daemons
from agent.runtimes.docker.config import container_config, label_filter
from agent.runtimes.docker.daemons import Daemons, engine_pid
from agent.runtimes.docker.details import Details, ending
from agent.runtimes.docker.stream import ConsoleStream, Demultiplexer
from agent.runtimes.places import Place, Places, cgroup_folders
from agent.runtimes.registry import RuntimeSettings
from tonnage.model import (
    ConsoleHealth,
    HttpHealth,
    LogReadiness,
    Mode,
    Network,
    RuntimeState,
    Target,
    Workload,
)

WORKLOAD = Workload("w", "some/image:1", LogReadiness("READY"))


def spec(workload: Workload = WORKLOAD, network: Network = Network.NONE) -> LaunchSpec:
    target = Target("t", "docker", "default", Mode.WARM, network, workload, 64 << 20, cpus=2)
    return LaunchSpec("one", Scope("a", "r", "t"), target, Prepared(workload, "sha256:1"), 60.0)


def frame(payload: bytes, number: int = 1) -> bytes:
    return bytes([number, 0, 0, 0]) + len(payload).to_bytes(4, "big") + payload


@given(
    st.lists(st.tuples(st.binary(max_size=30), st.sampled_from([1, 2])), max_size=8),
    st.lists(st.integers(1, 11), min_size=1),
)
def test_frames_come_apart_however_they_are_cut(
    frames: list[tuple[bytes, int]], cuts: list[int]
) -> None:
    stream = b"".join(frame(payload, number) for payload, number in frames)
    demultiplexer, got, at, turn = Demultiplexer(), b"", 0, 0
    while at < len(stream):
        size = cuts[turn % len(cuts)]
        got += demultiplexer.feed(stream[at : at + size])
        at, turn = at + size, turn + 1
    assert got == b"".join(payload for payload, _ in frames)


async def test_a_stream_feeds_its_console_and_ends_it() -> None:
    console, firsts, closed = Console(), list[int](), list[ConsoleStream]()
    seen = console.watch("READY")
    stream = ConsoleStream(console, firsts.append, closed.append)
    ours, theirs = socket.socketpair()
    stream.open(ours)
    theirs.sendall(frame(b"")[:5])
    theirs.sendall(frame(b"")[5:] + frame(b"not RE") + frame(b"ADY", 2))
    assert await asyncio.wait_for(seen, 5) >= firsts[0]
    await stream.send(b"ping\n")
    assert theirs.recv(10) == b"ping\n"
    theirs.close()
    await asyncio.wait_for(console.wait_ended(), 5)
    assert len(firsts) == 1
    assert closed == [stream]
    with pytest.raises(OSError, match="closed"):
        await stream.send(b"ping\n")
    stream.close()


async def test_a_stream_closed_before_it_opens_lets_the_socket_go() -> None:
    stream = ConsoleStream(Console())
    stream.close()
    ours, theirs = socket.socketpair()
    stream.open(ours)
    assert ours.fileno() == -1
    theirs.close()


def test_a_launch_becomes_a_create_call() -> None:
    config = container_config(spec(), runtime="runsc")
    host = config["HostConfig"]
    assert isinstance(host, dict)
    assert config["Image"] == "sha256:1"
    assert "Entrypoint" not in config
    assert config["OpenStdin"] is False
    assert config["Healthcheck"] == {"Test": ["NONE"]}
    assert host["Runtime"] == "runsc"
    assert host["Memory"] == host["MemorySwap"] == 64 << 20
    assert host["NanoCpus"] == 2_000_000_000
    assert "Runtime" not in str(container_config(spec(), runtime=None)["HostConfig"])


def test_a_command_replaces_entrypoint_and_command_and_a_question_needs_stdin() -> None:
    asking = replace(WORKLOAD, command=("/x", "y"), health=ConsoleHealth("ping", "pong"))
    config = container_config(spec(asking), None)
    assert (config["Entrypoint"], config["Cmd"]) == (["/x", "y"], [])
    assert config["OpenStdin"] is True


def test_networks_and_checks_that_cannot_work_are_refused() -> None:
    with pytest.raises(InvalidInput) as caught:
        container_config(spec(network=Network.USER), None)
    assert (caught.value.problem.field, caught.value.problem.value) == ("network", "user")
    reached = replace(WORKLOAD, health=HttpHealth(80))
    with pytest.raises(InvalidInput) as caught:
        container_config(spec(reached), None)
    assert caught.value.problem.field == "workload.health"
    assert container_config(spec(reached, Network.BRIDGE), None)


def test_a_scope_is_listed_by_agent_and_by_run_where_one_is_named() -> None:
    assert label_filter(Scope("a")) == ["tonnage.agent=a"]
    assert label_filter(Scope("a", "r", "t")) == ["tonnage.agent=a", "tonnage.run=r"]


def a_host(folder: Path, mounts: str, cgroup: str) -> Path:
    """A /proc with one process, 42, in these cgroups; ``{sys}`` is where they are mounted."""
    proc, sys = folder / "proc", folder / "sys"
    (proc / "self").mkdir(parents=True)
    (proc / "42").mkdir()
    (proc / "self/mountinfo").write_text(mounts.format(sys=sys))
    (proc / "42/cgroup").write_text(cgroup)
    return proc


def test_cgroups_of_version_1_are_found_by_controller(tmp_path: Path) -> None:
    mounts = (
        "31 23 0:28 / {sys} rw - tmpfs tmpfs rw,mode=755\n"
        "33 31 0:30 / {sys}/cpu,cpuacct rw shared:9 - cgroup cgroup rw,cpu,cpuacct\n"
        "35 31 0:32 / {sys}/memory rw - cgroup cgroup rw,memory\n"
        "41 31 0:38 / {sys}/unified rw - cgroup2 cgroup2 rw\n"
    )
    proc = a_host(
        tmp_path, mounts, "4:memory:/docker/c1\n2:cpu,cpuacct:/docker/c1\n0::/docker/c1\n"
    )
    for folder in ("memory", "cpu,cpuacct", "unified"):
        (tmp_path / "sys" / folder / "docker/c1").mkdir(parents=True)
    assert cgroup_folders(42, proc) == {
        "memory": tmp_path / "sys/memory/docker/c1",
        "cpuacct": tmp_path / "sys/cpu,cpuacct/docker/c1",
    }


def test_cgroups_of_version_2_are_one_folder(tmp_path: Path) -> None:
    mounts = "31 23 0:28 / {sys} rw - cgroup2 cgroup2 rw,nsdelegate\n"
    proc = a_host(tmp_path, mounts, "0::/system.slice/docker-c1.scope\n")
    folder = tmp_path / "sys/system.slice/docker-c1.scope"
    folder.mkdir(parents=True)
    assert cgroup_folders(42, proc) == {"unified": folder}
    (folder / "cpu.stat").write_text("usage_usec 1234\nuser_usec 1000\nsystem_usec 234\n")
    place = Place(Identity(42, 0), None, {"unified": folder})
    assert place.cpu_ns() == 1_234_000


def test_a_mount_that_shows_only_a_part_of_the_tree_is_followed(tmp_path: Path) -> None:
    mounts = "31 23 0:28 /outer {sys} rw - cgroup2 cgroup2 rw\n"
    proc = a_host(tmp_path, mounts, "0::/outer/docker/c1\n")
    (tmp_path / "sys/docker/c1").mkdir(parents=True)
    assert cgroup_folders(42, proc) == {"unified": tmp_path / "sys/docker/c1"}


def test_a_process_that_is_gone_has_no_cgroups_and_no_cpu_time(tmp_path: Path) -> None:
    proc = a_host(tmp_path, "", "")
    assert cgroup_folders(43, proc) == {}
    assert Place(Identity(43, 0), None, {"cpuacct": tmp_path / "gone"}).cpu_ns() is None


def test_a_group_below_its_own_is_the_containers_all_the_same(tmp_path: Path) -> None:
    mounts = "31 23 0:28 / {sys} rw - cgroup2 cgroup2 rw\n"
    proc = a_host(tmp_path, mounts, "0::/machine.slice/libpod-c1.scope/container\n")
    shutil.copy(f"/proc/{os.getpid()}/stat", proc / "42/stat")
    (tmp_path / "sys/machine.slice/libpod-c1.scope/container").mkdir(parents=True)
    place = Places(proc).learn("c1", 42)
    assert place is not None
    assert place.cgroups == {"unified": tmp_path / "sys/machine.slice/libpod-c1.scope"}


@pytest.fixture
def named_conmon() -> Iterator[None]:
    """This process has the name of a shim."""
    name = Path("/proc/self/comm")
    before = name.read_text()
    name.write_text("conmon")
    yield
    name.write_text(before)


def test_whoever_took_an_orphan_in_is_no_shim() -> None:
    with subprocess.Popen(["sleep", "100"]) as child:
        place = Places().learn("no cgroup is named so", child.pid)
        assert place is not None
        assert place.shim is None
        assert place.pids() == (child.pid,)
        child.kill()


@pytest.mark.usefixtures("named_conmon")
def test_without_a_cgroup_of_its_own_a_container_is_what_its_shim_started() -> None:
    shim = Identity.of(os.getpid())
    script = "sleep 100 >/dev/null & echo $!; exec sleep 100"
    with subprocess.Popen(["sh", "-c", script], stdout=subprocess.PIPE) as child:
        assert child.stdout is not None
        orphan = Identity.of(int(child.stdout.readline()))
        place = Places().learn("no cgroup is named so", child.pid)
        assert place is not None
        assert (place.shim, place.cgroups) == (shim, {})
        assert place.pids()[0] == child.pid
        assert place.pids()[-1] == os.getpid()
        assert (place.cpu_ns() or 0) > 0
        family = place.family()
        assert orphan is not None
        assert orphan in family
        child.kill()
    assert f"process {orphan.pid}" in place.survivors(family)
    with os.fdopen(os.pidfd_open(orphan.pid)) as end:
        os.kill(orphan.pid, signal.SIGKILL)
        assert select.select([end], [], [], 10)[0]
    assert f"process {orphan.pid}" not in place.survivors(family)


def test_a_pid_alone_is_no_identity() -> None:
    me = Identity.of(os.getpid())
    assert me is not None
    assert me.alive()
    assert not Identity(me.pid, me.start_ticks + 1).alive()
    assert Identity.of(0) is None


def test_details_are_read_from_an_engines_answer() -> None:
    inspection = {
        "State": {"Pid": 7},
        "NetworkSettings": {"Networks": {"bridge": {"IPAddress": "172.17.0.2"}}},
        "GraphDriver": {
            "Data": {
                "UpperDir": "/o/x/diff",
                "WorkDir": "/o/x/work",
                "LowerDir": "/o/x-init/diff:/o/y",
            }
        },
        "HostnamePath": "/c/id/hostname",
    }
    details = Details.of(inspection)
    assert (details.init_pid, details.address) == (7, "172.17.0.2")
    assert [str(path) for path in details.paths] == [
        "/o/x/diff",
        "/o/x/work",
        "/o/x-init/diff",
        "/c/id",
    ]
    bare = Details.of({"State": {}, "NetworkSettings": {"Networks": {"none": {"IPAddress": ""}}}})
    assert bare == Details(0, None, ())


def test_an_ending_is_told_in_words() -> None:
    assert ending(None) == ""
    assert ending({"State": {"ExitCode": 3}}) == "with exit code 3"
    assert "want of memory" in ending({"State": {"ExitCode": 137, "OOMKilled": True}})
    assert "no such file" in ending({"State": {"ExitCode": 127, "Error": "no such file"}})


def test_the_engine_is_whoever_listens_on_its_socket(tmp_path: Path) -> None:
    path = tmp_path / "engine.sock"
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind(str(path))
        listener.listen(8)
        assert os.getpid() in Daemons(path, "dockerd").pids()
    assert Daemons(path, "dockerd").pids() == ()


def test_an_engine_behind_systemd_is_not_taken_for_another(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(daemons, "listener", lambda _: 1)
    for pid, name in {1: "systemd", 20: "podman", 30: "dockerd"}.items():
        (tmp_path / f"{pid}").mkdir()
        (tmp_path / f"{pid}/comm").write_text(f"{name}\n")
    socket_path = tmp_path / "engine.sock"
    assert engine_pid(socket_path, "dockerd", tmp_path) == 30
    assert engine_pid(socket_path, "podman", tmp_path) == 20
    (tmp_path / "20/comm").write_text("bash\n")  # started anew when it is next asked
    assert engine_pid(socket_path, "podman", tmp_path) is None


async def fingerprint_of(url: str, folder: Path) -> tuple[RuntimeState, str]:
    runtime = DockerRuntime(EngineProfile("docker"), RuntimeSettings("a", folder, docker_host=url))
    found = await runtime.fingerprint()
    await runtime.close()
    return found.state, found.reason


async def test_obstacles_before_an_engine_are_told_apart(tmp_path: Path) -> None:
    state, reason = await fingerprint_of(f"unix://{tmp_path}/no.sock", tmp_path)
    assert (state, "no.sock" in reason) == (RuntimeState.UNDETECTED, True)
    state, reason = await fingerprint_of("tcp://10.0.0.1:2375", tmp_path)
    assert (state, "local socket" in reason) == (RuntimeState.UNHEALTHY, True)
    dead = tmp_path / "dead.sock"
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind(str(dead))
    state, reason = await fingerprint_of(f"unix://{dead}", tmp_path)
    assert (state, "refused" in reason) == (RuntimeState.UNHEALTHY, True)


async def test_something_else_behind_the_socket_is_unhealthy(tmp_path: Path) -> None:
    async def hang_up(_: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(b"HTTP/1.1 500 Oops\r\nContent-Length: 0\r\n\r\n")
        await writer.drain()
        writer.transport.abort()

    path = tmp_path / "other.sock"
    server = await asyncio.start_unix_server(hang_up, path)
    state, reason = await fingerprint_of(f"unix://{path}", tmp_path)
    server.close()
    assert (state, str(path) in reason) == (RuntimeState.UNHEALTHY, True)


async def test_a_closed_runtime_refuses_in_words(tmp_path: Path) -> None:
    url = f"unix://{tmp_path}/no.sock"
    runtime = DockerRuntime(
        EngineProfile("docker"), RuntimeSettings("a", tmp_path, docker_host=url)
    )
    await runtime.close()
    await runtime.close()
    with pytest.raises(RuntimeUnavailable, match="closed"):
        await runtime.prepare(WORKLOAD)
