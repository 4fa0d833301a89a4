"""Taking an image out of a Docker engine, where one is. Everything here blocks."""

from __future__ import annotations

import socket
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

from agent.runtimes.registry import engine_url

if TYPE_CHECKING:
    from docker import DockerClient

_TIMEOUT_SECONDS = 60


class NotGiven(Exception):
    """The engine does not give the image; the text says why."""


def image_id(reference: str, docker_host: str | None) -> str:
    """The id of an image that the engine has. Raises ``NotGiven``.

    ``docker_host`` is a URL as in ``DOCKER_HOST``; ``None`` means the environment's,
    else the default socket.
    """
    with _client(docker_host) as client:
        return str(client.images.get(reference).id)


def save(image: str, target: Path, docker_host: str | None) -> None:
    """Save an image by its id as a docker-archive.

    Raises ``NotGiven``, and ``OSError`` when the archive cannot be written.
    """
    with _client(docker_host) as client, target.open("wb") as out:
        out.writelines(client.images.get(image).save())


@contextmanager
def _client(docker_host: str | None) -> Iterator[DockerClient]:
    try:
        import docker
        from docker.errors import DockerException, ImageNotFound
        from requests.exceptions import RequestException
    except ModuleNotFoundError as missing:
        raise NotGiven(f"the Python package {missing.name} is not installed") from missing
    _check_socket(engine_url(docker_host))
    try:
        if docker_host:
            client = docker.DockerClient(docker_host, timeout=_TIMEOUT_SECONDS)
        else:
            client = docker.from_env(timeout=_TIMEOUT_SECONDS)
        try:
            yield client
        finally:
            client.close()
    except ImageNotFound as error:
        raise NotGiven("it has no such image") from error
    except (DockerException, RequestException) as error:
        raise NotGiven(f"it does not answer ({error})") from error


def _check_socket(url: str) -> None:
    """Raise ``NotGiven`` where nobody listens: the library would leave its socket open."""
    path = url.removeprefix("unix://")
    if path == url:
        return
    with socket.socket(socket.AF_UNIX) as probe:
        try:
            probe.connect(path)
        except OSError as error:
            raise NotGiven(f"nobody listens on {path} ({error})") from error
