"""Asks an engine, and puts the workload images into it."""

from __future__ import annotations

import json
from contextlib import closing
from pathlib import Path

import docker
from docker.errors import DockerException, ImageNotFound

from agent.runtimes.docker.transport import api_version

# A system engine may just be starting behind its socket.
PING_SECONDS = 15
LOAD_SECONDS = 60


def answers(address: str) -> bool:
    """Whether an engine answers at ``address``, a ``DOCKER_HOST`` value."""
    try:
        with closing(_client(address, PING_SECONDS)) as client:
            return bool(client.ping())
    except (DockerException, OSError, ValueError):
        return False


def load_absent(address: str, folder: Path) -> list[str]:
    """Load the archives listed in ``folder/images.json`` that the engine lacks or
    has another build of; return their references. No list, nothing to load; an
    image for another system than Linux is left to whoever wants to see it refused.

    Raises ``DockerException`` when the engine refuses one.
    """
    index = folder / "images.json"
    if not index.is_file():
        return []
    loaded = []
    with closing(_client(address, LOAD_SECONDS)) as client:
        for reference, image in json.loads(index.read_text()).items():
            if image.get("os", "linux") != "linux":
                continue
            if _image_id(client, reference) in (image["image_id"], image["manifest_digest"]):
                continue
            client.images.load((folder / image["file"]).read_bytes())
            loaded.append(reference)
    return loaded


def _client(address: str, timeout_seconds: int) -> docker.DockerClient:
    socket = Path(address.removeprefix("unix://"))
    version = api_version(socket, timeout_seconds) if socket.is_socket() else "auto"
    return docker.DockerClient(base_url=address, version=version, timeout=timeout_seconds)


def _image_id(client: docker.DockerClient, reference: str) -> str | None:
    try:
        return client.images.get(reference).id
    except ImageNotFound:
        return None
