"""Containers of others in the Docker engine: asked for in rounds, and told of by events.

Read only: the engine is asked for its list, for the first process of a container that is
new, and for its events. It is never told anything.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import closing, contextmanager, suppress
from typing import Any

import docker.errors
import structlog
from docker.api.client import APIClient

from agent.errors import RuntimeUnavailable
from agent.observed.seen import Seen
from agent.observed.starts import ACTIONS, Starts
from agent.probes.base import Roots
from agent.runtimes.docker.config import LABEL_AGENT
from agent.runtimes.docker.engine import innermost
from agent.runtimes.docker.transport import connect
from agent.runtimes.places import Place, Places

CALL_SECONDS = 10
# New containers whose first process is asked for in a round; the others in the next.
MOST_INSPECTED = 100
RUNNING = ("running", "paused")
STATES = ("created", "running", "paused", "restarting", "removing", "exited", "dead")

_FIRST_PAUSE_SECONDS, _LONGEST_PAUSE_SECONDS = 0.2, 5.0
_CLOSE_SECONDS = 5.0

_log = structlog.get_logger("agent.observed")


class Containers:
    """Looks at all containers of an engine. Blocking; a connection for each look, so that
    an engine that was restarted is simply there again."""

    def __init__(self, url: str, roots: Roots, agent_id: str) -> None:
        """Containers with this agent's label are passed over."""
        self._url = url
        self._agent_id = agent_id
        self._finder = Places(roots.proc)
        self._places: dict[str, Place] = {}

    def look(self, stop: Callable[[], bool]) -> list[Seen]:
        """All there are now; told to stop, it asks for no further process, so that those of
        new containers are found in a later round. Raises ``RuntimeUnavailable``."""
        with _translated(self._url), closing(connect(self._url, CALL_SECONDS, 1)) as client:
            found = [
                container
                for container in client.containers(all=True)
                if (container.get("Labels") or {}).get(LABEL_AGENT) != self._agent_id
            ]
            self._locate(client, [one["Id"] for one in found if one["State"] in RUNNING], stop)
        return [self._seen(container) for container in found]

    def _locate(self, client: APIClient, running: list[str], stop: Callable[[], bool]) -> None:
        """Find the processes of those that are new, or were started again."""
        known = {key: place for key, place in self._places.items() if place.init.alive()}
        self._places = {key: known[key] for key in running if key in known}
        for key in [key for key in running if key not in known][:MOST_INSPECTED]:
            if stop():
                return
            try:
                pid = client.inspect_container(key)["State"].get("Pid") or 0
            except docker.errors.NotFound:
                continue
            place = self._finder.learn(key, pid) if pid else None
            if place is not None:
                self._places[key] = place

    def _seen(self, container: Mapping[str, Any]) -> Seen:
        key, state = str(container["Id"]), str(container["State"])
        place = self._places.get(key)
        view = place.view(()) if place is not None else None
        return Seen(key, state, state in RUNNING, view)


class StartEvents:
    """Follows the engine's events in a thread of its own, while it is told to attend.

    An engine that goes away is waited for. What it told meanwhile is asked for again from
    the latest event on, as far as the engine's own memory of 256 events reaches.
    """

    def __init__(self, url: str, agent_id: str, started: Callable[[float], None]) -> None:
        """``started`` is called in that thread with each duration in seconds."""
        self._url = url
        self._starts = Starts(agent_id)
        self._started = started
        self._begun_seconds = int(time.time())
        self._changed = threading.Condition()
        self._attending = self._closed = False
        self._stream: Any = None
        self.following = threading.Event()
        self._thread = threading.Thread(target=self._follow, name="observed-events", daemon=True)
        self._thread.start()

    def attend(self, yes: bool) -> None:
        """Follow, or let go of the engine. From any thread; no effect the second time."""
        with self._changed:
            if yes == self._attending:
                return
            self._attending = yes
            if not yes:
                self._let_go()
            self._changed.notify_all()

    def close(self) -> None:
        """End the thread; blocking, for a moment. Idempotent."""
        with self._changed:
            self._closed = True
            self._let_go()
            self._changed.notify_all()
        self._thread.join(_CLOSE_SECONDS)

    def _let_go(self) -> None:
        # The SDK's stream raises what it likes when the engine ended it at this very moment.
        with suppress(Exception):
            if self._stream is not None:
                self._stream.close()

    def _wanted(self) -> bool:
        return self._attending and not self._closed

    def _follow(self) -> None:
        pause = _FIRST_PAUSE_SECONDS
        while True:
            with self._changed:
                self._changed.wait_for(lambda: self._attending or self._closed)
            if self._closed:
                return
            try:
                for event in self._events():
                    pause = _FIRST_PAUSE_SECONDS
                    seconds = self._starts.take(event)
                    if seconds is not None:
                        self._started(seconds)
            except Exception as error:  # noqa: BLE001 (an engine's nonsense must not end it)
                _log.debug("no events of the engine", reason=f"{type(error).__name__}: {error}")
            with self._changed:
                if self._wanted():  # it ended by itself: the engine went away
                    self._changed.wait(pause)
                    pause = min(2 * pause, _LONGEST_PAUSE_SECONDS)

    def _events(self) -> Iterator[Mapping[str, Any]]:
        """Until the engine goes away or is let go of. Raises ``RuntimeUnavailable``."""
        # Whole seconds: what is told twice counts once.
        since = self._starts.followed_anew() // 10**9 or self._begun_seconds
        filters = {"type": "container", "event": list(ACTIONS)}
        with _translated(self._url), closing(connect(self._url, CALL_SECONDS, 1)) as client:
            stream = client.events(since=since, filters=filters, decode=True)
            try:
                with self._changed:
                    if not self._wanted():
                        return
                    self._stream = stream
                self.following.set()
                yield from stream
            finally:
                with self._changed:
                    self._stream = None
                self.following.clear()
                stream.close()


@contextmanager
def _translated(url: str) -> Iterator[None]:
    try:
        yield
    except (docker.errors.DockerException, OSError, ValueError) as error:
        raise RuntimeUnavailable(
            f"the engine at {url} cannot be observed: {innermost(error)}",
            remedy="Start it, name another with --docker-host, or set observe to false.",
        ) from error
