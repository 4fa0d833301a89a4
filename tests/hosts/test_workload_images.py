"""The workload images in a real engine: loaded, run, asked and stopped."""

from __future__ import annotations

import json
import socket
import time
import uuid
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import docker
import pytest
from docker.models.containers import Container

from deploy.images import load

pytestmark = pytest.mark.docker

REFERENCES = ("tonnage/idle:1", "tonnage/http:1")
READY = b"TONNAGE READY"
HEALTH = "http://127.0.0.1:8080/health"
ANSWER_SECONDS = 20.0
# A container engine takes part of a second to remove a container; its grace before
# a kill is 10 s. In between lies the proof that SIGTERM was heeded.
STOP_SECONDS = 5.0


@pytest.fixture(scope="module")
def client(docker_host: str, images_dir: Path) -> Iterator[docker.DockerClient]:
    load.load_absent(docker_host, images_dir)
    with closing(docker.DockerClient(base_url=docker_host, timeout=30)) as client:
        yield client


class Running:
    """A started container and its console."""

    def __init__(self, container: Container) -> None:
        self.container = container
        self._raw = container.attach_socket(params={"stdin": 1, "stdout": 1, "stream": 1})
        self._socket: socket.socket = getattr(self._raw, "_sock")  # noqa: B009 - not in the stubs
        self._socket.settimeout(ANSWER_SECONDS)
        self.seen = b""
        container.start()

    def say(self, line: str) -> None:
        self._socket.sendall(line.encode() + b"\n")

    def wait_for(self, text: bytes) -> None:
        """Read on until the text has come; fails when the console ends first."""
        while text not in self.seen:
            data = self._socket.recv(4096)
            assert data, f"the console ended after {self.seen!r}"
            self.seen += data

    def close(self) -> None:
        self._socket.close()
        self._raw.close()


@pytest.fixture(params=REFERENCES)
def running(client: docker.DockerClient, request: pytest.FixtureRequest) -> Iterator[Running]:
    container = client.containers.create(
        request.param,
        name=f"tonnage-images-{uuid.uuid4().hex[:12]}",
        network_mode="none",
        stdin_open=True,
    )
    try:
        with closing(Running(container)) as running:
            yield running
    finally:
        container.remove(force=True)


@pytest.mark.parametrize("reference", REFERENCES)
def test_loading_gives_the_image_id_that_the_build_foretold(
    client: docker.DockerClient, images_dir: Path, reference: str
) -> None:
    expected = json.loads((images_dir / "images.json").read_text())[reference]
    found = client.images.get(reference)
    assert found.id in (expected["image_id"], expected["manifest_digest"])
    assert reference in found.tags


def test_loading_again_loads_nothing(
    client: docker.DockerClient, docker_host: str, images_dir: Path
) -> None:
    assert load.load_absent(docker_host, images_dir) == []


def test_it_says_that_it_is_ready_and_answers_each_ping(running: Running) -> None:
    running.wait_for(READY)
    running.say("something else")
    running.say("ping")
    running.wait_for(b"pong")


def test_it_stops_at_once_when_told_to(running: Running) -> None:
    running.wait_for(READY)
    began = time.monotonic()
    running.container.stop(timeout=10)
    assert time.monotonic() - began < STOP_SECONDS
    running.container.reload()
    assert running.container.attrs["State"]["ExitCode"] == 0


@pytest.mark.parametrize("reference", REFERENCES)
def test_it_outlives_a_console_without_input_and_burns_nothing(
    client: docker.DockerClient, reference: str
) -> None:
    container = client.containers.create(reference, network_mode="none")
    try:
        with closing(Running(container)) as running:
            running.wait_for(READY)
        before = _cpu_ticks(container)
        assert container.exec_run(["sleep", "1"]).exit_code == 0
        assert _cpu_ticks(container) - before <= 1
        assert b"sleep" not in container.exec_run(["ps"]).output
    finally:
        container.remove(force=True)


def test_http_answers_from_the_moment_it_is_ready(client: docker.DockerClient) -> None:
    container = client.containers.create(
        "tonnage/http:1", network_mode="none", stdin_open=True, detach=True
    )
    try:
        with closing(Running(container)) as running:
            running.wait_for(READY)
            answer = container.exec_run(["busybox", "wget", "-q", "-O", "-", HEALTH])
        assert (answer.exit_code, answer.output) == (0, b"ok\n")
    finally:
        container.remove(force=True)


def test_http_leaves_a_ping_unanswered_when_its_server_is_dead(
    client: docker.DockerClient,
) -> None:
    container = client.containers.create(
        "tonnage/http:1", network_mode="none", stdin_open=True, detach=True
    )
    try:
        with closing(Running(container)) as running:
            running.wait_for(READY)
            assert container.exec_run(["busybox", "killall", "httpd"]).exit_code == 0
            running.say("ping")
            running.wait_for(b"httpd does not answer")
            assert b"pong" not in running.seen
    finally:
        container.remove(force=True)


def _cpu_ticks(container: Container) -> int:
    """User and system time of its first process (proc(5), fields 14 and 15)."""
    container.reload()
    pid = container.attrs["State"]["Pid"]
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return int(fields[11]) + int(fields[12])
