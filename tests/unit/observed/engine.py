"""An engine that answers as Docker does on a Unix socket, and notes what it was asked."""

from __future__ import annotations

import json
import queue
import socketserver
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from http.server import BaseHTTPRequestHandler
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, urlparse

_API = "1.41"


def event(action: str, container: str, at_ns: int, **labels: str) -> dict[str, Any]:
    """An event as the engine tells it."""
    actor = {"ID": container, "Attributes": {"image": "i", **labels}}
    return {"Type": "container", "Action": action, "Actor": actor, "timeNano": at_ns}


def container(key: str, state: str, pid: int = 0, **labels: str) -> dict[str, Any]:
    """A container of the engine's list; ``pid`` is told only when it is inspected."""
    return {"Id": key, "State": state, "Labels": labels, "_pid": pid}


class FakeEngine:
    """Serves until it is stopped; may be started again on the same socket."""

    def __init__(self, socket: Path) -> None:
        self.socket = socket
        self.url = f"unix://{socket}"
        self.containers: list[dict[str, Any]] = []
        self.requests: list[tuple[str, str]] = []
        self.past: list[dict[str, Any]] = []  # replayed to who asks for what was
        self.followers = 0
        self._streams: list[queue.Queue[dict[str, Any] | None]] = []
        self._server: _Server | None = None
        self._changed = threading.Condition()

    def start(self) -> None:
        """Listen."""
        self.socket.unlink(missing_ok=True)
        self._server = _Server(str(self.socket), self)
        threading.Thread(target=self._server.serve_forever, args=(0.01,), daemon=True).start()

    def stop(self) -> None:
        """Go away, with every stream. Idempotent."""
        server, self._server = self._server, None
        if server is not None:
            server.shutdown()
            self.tell(None)
            server.server_close()

    def tell(self, told: dict[str, Any] | None) -> None:
        """Tell all who follow; ``None`` ends their streams."""
        with self._changed:
            streams = list(self._streams)
        for stream in streams:
            stream.put(told)

    def wait_for_followers(self, count: int) -> None:
        """Until so many follow the events."""
        with self._changed:
            assert self._changed.wait_for(lambda: self.followers == count, 10)

    @contextmanager
    def following(self) -> Iterator[queue.Queue[dict[str, Any] | None]]:
        """A stream to one who follows, with what was before it."""
        stream: queue.Queue[dict[str, Any] | None] = queue.Queue()
        for one in self.past:
            stream.put(one)
        with self._changed:
            self._streams.append(stream)
            self.followers += 1
            self._changed.notify_all()
        try:
            yield stream
        finally:
            with self._changed:
                self._streams.remove(stream)
                self.followers -= 1
                self._changed.notify_all()


class _Server(socketserver.ThreadingMixIn, socketserver.UnixStreamServer):
    daemon_threads = False

    def __init__(self, path: str, engine: FakeEngine) -> None:
        self.engine = engine
        super().__init__(path, _Handler)


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    timeout = 10
    server: _Server

    def do_GET(self) -> None:
        url = urlparse(self.path)
        path = url.path.removeprefix(f"/v{_API}")
        self.server.engine.requests.append((self.command, path))
        if path == "/events":
            self._events(parse_qs(url.query))
        else:
            self._answer(self._found(path))

    def do_POST(self) -> None:
        self.do_GET()

    def do_DELETE(self) -> None:
        self.do_GET()

    def _found(self, path: str) -> Any:
        containers = self.server.engine.containers
        if path == "/_ping":
            return "OK"
        if path == "/containers/json":
            return containers
        wanted = path.split("/")[2]
        found = next((one for one in containers if one["Id"] == wanted), None)
        return {"Id": wanted, "State": {"Pid": found["_pid"]}} if found else None

    def _answer(self, found: Any) -> None:
        told = {"message": "no such container"} if found is None else found
        body = json.dumps(told).encode()
        self.send_response(200 if found is not None else 404)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(body)))
        self.send_header("Connection", "close")
        self.send_header("Api-Version", _API)
        self.end_headers()
        self.wfile.write(body)

    def _events(self, query: dict[str, list[str]]) -> None:
        assert json.loads(query["filters"][0])["type"] == ["container"]
        self.close_connection = True
        self.send_response(200)
        self.send_header("Transfer-Encoding", "chunked")
        self.end_headers()
        with self.server.engine.following() as stream:
            threading.Thread(target=self._end_with_client, args=(stream,), daemon=True).start()
            while (told := stream.get()) is not None:
                line = json.dumps(told).encode() + b"\n"
                self.wfile.write(b"%x\r\n%s\r\n" % (len(line), line))

    def _end_with_client(self, stream: queue.Queue[dict[str, Any] | None]) -> None:
        self.connection.settimeout(None)
        with suppress(OSError):
            self.connection.recv(1)
        stream.put(None)

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002
        """Nothing."""
