"""The engine's client: the Docker SDK in threads of its own.

The SDK blocks; its calls run in a bounded pool named after the runtime, never
on the event loop. Its errors and those of the libraries below it become
Tonnage's here and nowhere else.
"""

from __future__ import annotations

import asyncio
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

import docker.errors
import requests.exceptions
from docker.api.client import APIClient

from agent.errors import (
    ImageNotFound,
    InstanceLeaked,
    LaunchFailed,
    RuntimeUnavailable,
    TonnageError,
)
from agent.runtimes.docker.transport import connect

T = TypeVar("T")
Inspection = dict[str, Any]

# An experiment has up to 256 launches in flight, each a thread of its own: none may
# wait for one within its timed window, whatever is being removed beside it.
THREADS = 300
CALL_SECONDS = 120
PROBE_SECONDS = 5
REMOVE_SECONDS = 60.0
_REMOVE_RETRY_SECONDS = 0.02
_CONFLICT = 409


@dataclass(frozen=True, slots=True)
class Description:
    """An engine's version and info as it gives them, and which of the networks
    that we use it has."""

    version: Inspection
    info: Inspection
    networks: frozenset[str]


class Engine:
    """One engine on one Unix socket. Connects when first used; safe for concurrent calls."""

    def __init__(self, url: str, name: str, option: str) -> None:
        """``option`` is the flag by which an operator names its socket."""
        self.url = url
        self.name = name
        self._option = option
        self._threads = ThreadPoolExecutor(THREADS, thread_name_prefix=f"engine-{name}")
        self._client: APIClient | None = None
        self._connecting = threading.Lock()
        self._closed = False

    async def call(
        self,
        work: Callable[[APIClient], T],
        refused: type[TonnageError] = RuntimeUnavailable,
    ) -> T:
        """Run ``work`` with the client in one of the engine's threads.

        An engine that cannot be reached is ``RuntimeUnavailable``; an order
        that it refuses is ``refused``. Cancelling the wait does not stop the
        thread: whoever orders something that lasts waits for the end.
        """
        return await self._in_thread(lambda: self._run(work, refused))

    async def inspect(self, container: str) -> Inspection | None:
        """What the engine says of a container, by id or name; ``None`` if it has none."""

        def work(client: APIClient) -> Inspection | None:
            try:
                found: Inspection = client.inspect_container(container)
            except docker.errors.NotFound:
                return None
            return found

        return await self.call(work)

    async def containers(self, labels: Sequence[str]) -> list[Inspection]:
        """Every container, running or not, that has all of these labels."""
        return await self.call(
            lambda client: client.containers(all=True, filters={"label": list(labels)})
        )

    async def remove(self, container: str, instance_id: str) -> None:
        """Kill and remove a container with its volumes; one that is gone is as good.

        Returns once the engine has said that it knows no such container. Raises
        ``InstanceLeaked``, about ``instance_id``, if it still does after
        ``REMOVE_SECONDS``.
        """
        await self.call(lambda client: _remove(client, container, instance_id))

    async def wait_exit(self, container: str, timeout_seconds: int) -> bool:
        """Whether the container ended within the time."""

        def work(client: APIClient) -> bool:
            try:
                client.wait(container, timeout=timeout_seconds)
            except docker.errors.NotFound:
                return True
            except (requests.exceptions.ReadTimeout, requests.exceptions.ConnectionError) as error:
                if "timed out" in str(error).lower():
                    return False
                raise
            return True

        return await self.call(work)

    async def stop(self, container: str, grace_seconds: int) -> None:
        """Ask its first process to end, kill it after the grace."""

        def work(client: APIClient) -> None:
            try:
                client.stop(container, timeout=grace_seconds)
            except docker.errors.NotFound:
                return

        await self.call(work)

    async def image(self, reference: str, *, pull: bool) -> Inspection:
        """What the engine says of an image. Raises ``ImageNotFound``."""

        def work(client: APIClient) -> Inspection:
            try:
                found: Inspection = client.inspect_image(reference)
            except docker.errors.ImageNotFound:
                if not pull:
                    raise
                _pull(client, reference)
                found = client.inspect_image(reference)
            return found

        with _image_errors(reference, pulled=pull):
            return await self.call(work)

    async def load(self, archive: Path) -> None:
        """Load an image's archive. Raises ``LaunchFailed`` with the engine's own words."""

        def work(client: APIClient) -> None:
            with archive.open("rb") as content:
                for told in client.load_image(content):
                    if "error" in told:
                        words = str(told["error"]).strip().rstrip(".")
                        raise LaunchFailed(f"the engine refused the image: {words}")

        await self.call(work, LaunchFailed)

    async def start(self, work: Callable[[APIClient], None], image: str) -> None:
        """Run the calls of a launch: refused is ``LaunchFailed``, or ``ImageNotFound``."""
        with _image_errors(image, pulled=False):
            await self.call(work, LaunchFailed)

    async def describe(self) -> Description:
        """What the engine is, over a connection of its own with short deadlines."""

        def work() -> Description:
            with self._translated(RuntimeUnavailable):
                client = connect(self.url, PROBE_SECONDS, pool_size=1)
                try:
                    networks = client.networks(names=["bridge", "none"])
                    names = frozenset(str(network["Name"]) for network in networks)
                    return Description(client.version(), client.info(), names)
                finally:
                    client.close()

        return await self._in_thread(work)

    def info(self) -> Inspection:
        """What the engine says of itself. Blocks, in a thread of the caller's."""
        return self._run(lambda client: client.info(), RuntimeUnavailable)

    async def _in_thread(self, work: Callable[[], T]) -> T:
        if self._closed:
            raise RuntimeUnavailable(f"the connection to the engine at {self.url} is closed")
        return await asyncio.get_running_loop().run_in_executor(self._threads, work)

    def close(self) -> None:
        """End the threads and connections. Idempotent."""
        self._closed = True
        self._threads.shutdown(wait=True, cancel_futures=True)
        with self._connecting:
            if self._client is not None:
                self._client.close()
                self._client = None

    def _run(self, work: Callable[[APIClient], T], refused: type[TonnageError]) -> T:
        with self._translated(refused):
            return work(self._connected())

    @contextmanager
    def _translated(self, refused: type[TonnageError]) -> Iterator[None]:
        """Turn the SDK's errors into ours."""
        try:
            yield
        except docker.errors.ImageNotFound as error:
            raise _NoImage(_reason(error)) from error
        except docker.errors.APIError as error:
            raise refused(f"the engine at {self.url} refused: {_reason(error)}") from error
        except (docker.errors.DockerException, OSError) as error:  # requests' are OSErrors
            raise RuntimeUnavailable(
                f"the engine at {self.url} does not answer: {innermost(error)}",
                remedy=f"Start it, or name another socket with {self._option}.",
            ) from error

    def _connected(self) -> APIClient:
        with self._connecting:
            if self._client is None:
                self._client = connect(self.url, CALL_SECONDS, pool_size=THREADS)
            return self._client


def _pull(client: APIClient, reference: str) -> None:
    """Pull one image; a reference without tag or digest means ``latest``."""
    last = reference.rsplit("/", 1)[-1]
    client.pull(reference if ":" in last or "@" in last else f"{reference}:latest")


def _remove(client: APIClient, container: str, instance_id: str) -> None:
    deadline = time.monotonic() + REMOVE_SECONDS
    while True:
        try:
            client.remove_container(container, force=True, v=True)
        except docker.errors.NotFound:
            return
        except docker.errors.APIError as error:
            # 409: another removal is at work; 5xx: a mount is still busy.
            if time.monotonic() > deadline:
                raise InstanceLeaked(
                    f"the engine does not remove container {container}: {error.explanation}",
                    value=instance_id,
                ) from error
            if error.status_code != _CONFLICT and not error.is_server_error():
                raise
            time.sleep(_REMOVE_RETRY_SECONDS)


@contextmanager
def _image_errors(reference: str, *, pulled: bool) -> Iterator[None]:
    try:
        yield
    except _NoImage as error:
        why = "and it could not be pulled" if pulled else "and pulling was not allowed"
        raise ImageNotFound(
            f"the engine has no such image, {why}",
            field="workload.image",
            value=reference,
            remedy="Load it into that engine, or set pull: true.",
        ) from error


class _NoImage(TonnageError):
    """The engine has no such image."""


def _reason(error: docker.errors.APIError) -> str:
    return str(error.explanation or error).strip().rstrip(".")


def engine_failed(error: BaseException | None) -> bool:
    """Whether a call ended by the engine's own trouble, so that what came of it is open:
    no answer, or one that blames the engine and not the order."""
    cause = error.__cause__ if isinstance(error, LaunchFailed) else None
    return isinstance(error, RuntimeUnavailable) or (
        isinstance(cause, docker.errors.APIError) and cause.is_server_error()
    )


def innermost(error: BaseException) -> str:
    """What went wrong first, below the layers that passed it on."""
    while (below := error.__cause__ or error.__context__) is not None:
        error = below
    return str(error) or type(error).__name__
