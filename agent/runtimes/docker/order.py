"""The three engine calls of a start, made one after the other in one thread.

Going back to the event loop between them would only add its latency to what
is measured. Nothing else is asked of the engine until the instance is ready.
"""

from __future__ import annotations

import asyncio
import os
import socket
import threading
from dataclasses import dataclass, field

import docker.errors
import requests.exceptions
from docker.api.client import APIClient

from agent.clock import Mark, Timeline
from agent.errors import LaunchFailed
from agent.runtimes.docker.stream import ConsoleStream


class CalledOff(Exception):
    """The order was called off between two calls."""


@dataclass(slots=True)
class Order:
    """One launch on its way through the engine.

    ``container_id`` is set as soon as the engine has given it. ``unknown`` says
    that create was called and its answer never came: the container may be
    there. Whoever calls off waits for ``carry_out`` to end, then looks at both.
    """

    name: str
    config: dict[str, object]
    stdin: bool
    timeline: Timeline
    stream: ConsoleStream
    loop: asyncio.AbstractEventLoop
    container_id: str = ""
    unknown: bool = False
    _off: threading.Event = field(default_factory=threading.Event)

    def call_off(self) -> None:
        """Make no further call. From any thread; a call in flight is not stopped."""
        self._off.set()

    def carry_out(self, client: APIClient) -> None:
        """Create, attach, start. Blocks; raises the SDK's errors and ``CalledOff``."""
        self._create(client)
        self._go_on()
        self._hand_over(attach(client, self.container_id, stdin=self.stdin))
        self.timeline.mark(Mark.ACCEPTED)
        self._go_on()
        try:
            client.start(self.container_id)
        except docker.errors.NotFound as error:
            # runc's "executable file not found" comes as 404 from some engines.
            raise LaunchFailed(f"the engine could not start it: {error.explanation}") from error
        self.timeline.mark(Mark.CREATED)

    def _create(self, client: APIClient) -> None:
        self._go_on()
        self.unknown = True
        try:
            answer = client.create_container_from_config(self.config, self.name)
        except docker.errors.APIError:
            self.unknown = False
            raise
        self.container_id = answer["Id"]
        self.unknown = False

    def _hand_over(self, connection: socket.socket) -> None:
        try:
            self.loop.call_soon_threadsafe(self.stream.open, connection)
        except RuntimeError:  # the loop is closed
            connection.close()
            raise

    def _go_on(self) -> None:
        if self._off.is_set():
            raise CalledOff


def attach(client: APIClient, container_id: str, *, stdin: bool) -> socket.socket:
    """A socket of the container's console, to be read before the container starts.

    The connection is taken from below the HTTP client: nothing was sent on it
    but the answer's head, for the container does not run yet.
    """
    response = client.post(
        f"{client.base_url}/v{client.api_version}/containers/{container_id}/attach",
        params={"stdout": 1, "stderr": 1, "stdin": int(stdin), "stream": 1},
        headers={"Connection": "Upgrade", "Upgrade": "tcp"},
        timeout=client.timeout,
        stream=True,
    )
    try:
        response.raise_for_status()
        return socket.socket(fileno=os.dup(response.raw.fileno()))
    except requests.exceptions.HTTPError as error:
        docker.errors.create_api_error_from_http_exception(error)
        raise
    finally:
        response.close()
