"""The engine's own processes, found from its socket without asking it."""

from __future__ import annotations

import contextlib
import socket
import struct
from collections.abc import Iterator
from pathlib import Path

from agent import process
from agent.process import PROC, Identity

_CREDENTIALS = struct.Struct("3i")  # pid, uid, gid: unix(7), SO_PEERCRED
_SHIMS = ("containerd-shim", "conmon")
_CONTAINERD = "containerd"
_ENGINES = ("dockerd", "podman")
_DEFAULT_CONTAINERD = Path("/run/containerd/containerd.sock")


class Daemons:
    """Remembers the long-lived ones; children are looked up each time.

    The peer of the socket is whoever listens on it. Under systemd's socket
    activation that is systemd, and the engine is then known by its name. A
    containerd that the engine did not start itself is found behind the socket
    that the engine's command line names, else the default one. Shims belong to
    their instances, not here.
    """

    def __init__(self, socket_path: Path) -> None:
        self._socket_path = socket_path
        self._known: tuple[Identity, ...] = ()

    def pids(self) -> tuple[int, ...]:
        """Engine, containerd and the engine's helpers such as docker-proxy, ascending."""
        if not self._known or not all(daemon.alive() for daemon in self._known):
            self._known = tuple(_daemons(self._socket_path))
        found = {daemon.pid for daemon in self._known}
        for daemon in self._known:
            found.update(_helpers(daemon.pid))
        return tuple(sorted(found))


def _daemons(socket_path: Path) -> Iterator[Identity]:
    engine = engine_pid(socket_path)
    if engine is None:
        return
    mine = [pid for pid in process.children(engine) if comm(pid) == _CONTAINERD]
    containerd = mine or [_listener(_containerd_socket(engine)) or 0]
    for pid in (engine, *containerd):
        identity = Identity.of(pid)
        if identity is not None and identity.pid > 1:
            yield identity


def engine_pid(socket_path: Path) -> int | None:
    """Whoever listens on the socket, or is known as an engine where systemd does."""
    listener = _listener(socket_path)
    if listener != 1:
        return listener
    named = [pid for pid in process.pids() if comm(pid) in _ENGINES]
    return named[0] if named else None


def _containerd_socket(engine: int) -> Path:
    """The socket given with ``--containerd``, else the default."""
    arguments = iter(process.cmdline(engine))
    for argument in arguments:
        if argument.startswith("--containerd="):
            return Path(argument.partition("=")[2])
        if argument == "--containerd":
            return Path(next(arguments, str(_DEFAULT_CONTAINERD)))
    return _DEFAULT_CONTAINERD


def _listener(socket_path: Path) -> int | None:
    """The process that listens on a Unix socket; ``None`` if none can be seen."""
    with contextlib.suppress(OSError), socket.socket(socket.AF_UNIX) as connection:
        connection.settimeout(1.0)
        connection.connect(str(socket_path))
        raw = connection.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, _CREDENTIALS.size)
        pid: int = _CREDENTIALS.unpack(raw)[0]
        return pid or None
    return None


def _helpers(pid: int) -> Iterator[int]:
    """Children of a daemon that are not shims, and theirs."""
    for child in process.children(pid):
        if not comm(child).startswith(_SHIMS):
            yield child
            yield from _helpers(child)


def comm(pid: int, proc: Path = PROC) -> str:
    """A process's name, cut by the kernel to 15 characters; empty if it is gone."""
    try:
        return (proc / str(pid) / "comm").read_text().strip()
    except OSError:
        return ""
