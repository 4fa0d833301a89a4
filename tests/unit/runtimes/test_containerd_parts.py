"""The parts of the containerd runtime that need no containerd."""

from __future__ import annotations

import os
import shutil
import socket
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from agent.runtimes.base import Scope
from agent.runtimes.containerd import pipes, shims
from agent.runtimes.containerd.address import DEFAULT, socket_of
from agent.runtimes.containerd.api.types_pb2 import Mount
from agent.runtimes.containerd.health import socket_obstacle
from agent.runtimes.containerd.instance import ending
from agent.runtimes.containerd.labels import scope_filter
from agent.runtimes.containerd.store import chain_id, lower_folders, own_folders
from agent.runtimes.images.unfit import UnfitImage
from deploy.containerd import VARIABLE, address_beside
from tonnage.model import RuntimeState

CHECKOUT = Path(__file__).parents[3]
API = Path("agent/runtimes/containerd/api")


def test_stubs_regenerate_identically(tmp_path: Path) -> None:
    made = subprocess.run(
        ["bash", CHECKOUT / API / "generate.sh", str(tmp_path)], capture_output=True, text=True
    )
    assert made.returncode == 0, made.stderr
    committed = {path.name: path.read_text() for path in (CHECKOUT / API).glob("*_pb2*")}
    generated = {path.name: path.read_text() for path in (tmp_path / API).glob("*_pb2*")}
    assert generated == committed, "run: make protos"


def test_the_snapshot_of_an_image_is_named_as_its_layers_chain() -> None:
    one = {"rootfs": {"diff_ids": ["sha256:aa"]}}
    two = {"rootfs": {"diff_ids": ["sha256:aa", "sha256:bb"]}}
    assert chain_id(one) == "sha256:aa"
    # sha256 of "sha256:aa sha256:bb"
    assert chain_id(two) == (
        "sha256:b68ad689d6d1ec110ea1c13617437ad6f3766d4b3b309f6a603a222e07a0164f"
    )


def test_an_image_that_names_no_layers_is_unfit() -> None:
    with pytest.raises(UnfitImage, match="no layers"):
        chain_id({})


def test_folders_are_read_from_mounts() -> None:
    overlay = Mount(
        type="overlay", options=["index=off", "workdir=/w", "upperdir=/u", "lowerdir=/b:/a"]
    )
    bind = Mount(type="bind", source="/a", options=["ro", "rbind"])
    assert lower_folders([overlay]) == (Path("/b"), Path("/a"))
    assert lower_folders([bind]) == (Path("/a"),)
    assert own_folders([overlay]) == (Path("/u"), Path("/w"))
    assert own_folders([bind]) == ()


def test_a_scope_is_asked_for_by_its_labels() -> None:
    assert scope_filter(Scope("a")) == 'labels."tonnage.agent"=="a"'
    assert scope_filter(Scope('a"b', "r")) == (
        'labels."tonnage.agent"=="a\\"b",labels."tonnage.run"=="r"'
    )


def test_an_ending_says_what_is_known_of_it() -> None:
    assert ending(None) == ""
    assert ending(3) == "with exit code 3"
    assert "want of memory" in ending(137)


@pytest.mark.parametrize("asked", [True, False])
def test_pipes_are_open_before_anyone_else_opens_them(tmp_path: Path, asked: bool) -> None:
    made = pipes.make(tmp_path, asked=asked)
    with Path(made.stdout).open("wb", buffering=0) as theirs:
        theirs.write(b"up\n")
    assert os.read(made.out, 100) == b"up\n"
    assert bool(made.stdin) is asked
    if made.into is not None:
        with Path(made.stdin).open("rb", buffering=0) as reader:
            os.write(made.into, b"ping\n")
            assert reader.read(100) == b"ping\n"
        os.close(made.into)
    os.close(made.out)


def test_a_socket_is_where_it_was_said_to_be_else_at_the_usual_place(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.delenv(VARIABLE, raising=False)
    assert socket_of(None) == socket_of("") == DEFAULT
    monkeypatch.setenv(VARIABLE, "/named.sock")
    assert socket_of(None) == Path("/named.sock")
    assert socket_of("unix:///x/y.sock") == socket_of("/x/y.sock") == Path("/x/y.sock")


def test_a_socket_with_nobody_behind_it_is_no_daemon(tmp_path: Path) -> None:
    path = tmp_path / "c.sock"
    assert (socket_obstacle(path) or ("",))[0] is RuntimeState.UNDETECTED
    with socket.socket(socket.AF_UNIX) as server:
        server.bind(str(path))
        found = socket_obstacle(path)
        assert found is not None
        assert found[0] is RuntimeState.UNHEALTHY
        server.listen()
        assert socket_obstacle(path) is None


def test_the_containerd_at_hand_is_the_engines_own_before_the_hosts(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv(VARIABLE, raising=False)
    own, system = tmp_path / "run/containerd/containerd.sock", tmp_path / "system.sock"
    host = f"unix://{tmp_path}/run/docker.sock"
    assert address_beside(host, system) is None
    own.parent.mkdir(parents=True)
    with socket.socket(socket.AF_UNIX) as one, socket.socket(socket.AF_UNIX) as other:
        other.bind(str(system))
        assert address_beside(host, system) == str(system)
        assert address_beside(None, system) == str(system)
        one.bind(str(own))
        assert address_beside(host, system) == str(own)
    monkeypatch.setenv(VARIABLE, "/named.sock")
    assert address_beside(host, system) == "/named.sock"


@pytest.fixture
def two_shims(tmp_path: Path) -> Iterator[list[subprocess.Popen[bytes]]]:
    """Processes like the shims of the containers ``tonnage-i1`` and ``tonnage-i12``."""
    program = tmp_path / "containerd-shim-runc-v2"
    shutil.copy("/bin/sh", program)
    made = [
        subprocess.Popen([program, "-c", "read line", "-id", name], stdin=subprocess.PIPE)
        for name in ("tonnage-i1", "tonnage-i12")
    ]
    yield made
    for shim in made:
        shim.kill()
        shim.communicate()


async def test_a_shim_that_containerd_forgot_is_ended_and_no_other(
    two_shims: list[subprocess.Popen[bytes]],
) -> None:
    ours, other = two_shims
    assert await shims.end("tonnage-i1") == []
    assert ours.wait(10) < 0
    assert other.poll() is None
