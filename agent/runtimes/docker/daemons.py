"""The engine's own processes, found from its socket without asking it."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path

from agent import process
from agent.process import PROC, Identity
from agent.runtimes.peer import listener

_SHIMS = ("containerd-shim", "conmon")
_DOCKERD, _CONTAINERD = "dockerd", "containerd"
_DEFAULT_CONTAINERD = Path("/run/containerd/containerd.sock")


class Daemons:
    """Remembers the long-lived ones; children are looked up each time.

    The peer of the socket is whoever listens on it. Under systemd's socket
    activation that is systemd, and the engine is then known by its name, ``engine``. A
    containerd that dockerd did not start itself is found behind the socket that
    dockerd's command line names, else the default one; Podman has none. Shims belong to
    their instances, not here.
    """

    def __init__(self, socket_path: Path, engine: str) -> None:
        self._socket_path = socket_path
        self._engine = engine
        self._known: tuple[Identity, ...] = ()

    def pids(self) -> tuple[int, ...]:
        """Engine, containerd and the engine's helpers such as docker-proxy, ascending."""
        if not self._known or not all(daemon.alive() for daemon in self._known):
            self._known = tuple(_daemons(self._socket_path, self._engine))
        found = {daemon.pid for daemon in self._known}
        for daemon in self._known:
            found.update(_helpers(daemon.pid))
        return tuple(sorted(found))


def _daemons(socket_path: Path, name: str) -> Iterator[Identity]:
    engine = engine_pid(socket_path, name)
    if engine is None:
        return
    for pid in (engine, *_containerd(engine)):
        identity = Identity.of(pid)
        if identity is not None and identity.pid > 1:
            yield identity


def engine_pid(socket_path: Path, name: str, proc: Path = PROC) -> int | None:
    """Whoever listens on the socket; where systemd does, the first process of that name."""
    found = listener(socket_path)
    if found != 1:
        return found
    return next((pid for pid in process.pids(proc) if process.comm(pid, proc) == name), None)


def _containerd(engine: int) -> Sequence[int]:
    """The containerd of an engine that is a dockerd: its child, else another's."""
    if process.comm(engine) != _DOCKERD:
        return ()
    mine = [pid for pid in process.children(engine) if process.comm(pid) == _CONTAINERD]
    return mine or [listener(_containerd_socket(engine)) or 0]


def _containerd_socket(engine: int) -> Path:
    """The socket given with ``--containerd``, else the default."""
    arguments = iter(process.cmdline(engine))
    for argument in arguments:
        if argument.startswith("--containerd="):
            return Path(argument.partition("=")[2])
        if argument == "--containerd":
            return Path(next(arguments, str(_DEFAULT_CONTAINERD)))
    return _DEFAULT_CONTAINERD


def _helpers(pid: int) -> Iterator[int]:
    """Children of a daemon that are not shims, and theirs."""
    for child in process.children(pid):
        if not process.comm(child).startswith(_SHIMS):
            yield child
            yield from _helpers(child)
