"""A container engine of our own: started, and ended without a trace. Standard library only.

Its images stay in ``HOME/data`` for the next time. It touches no firewall and no
routing; the one thing it makes outside its folder is the bridge ``docker0``, which
is removed again, and not made at all beside another engine.
"""

from __future__ import annotations

import hashlib
import http.client
import os
import shutil
import signal
import socket
import subprocess
import time
from collections.abc import Iterable
from contextlib import suppress
from pathlib import Path

from deploy import bridge

START_SECONDS = 60.0
STOP_SECONDS = 30.0
POLL_SECONDS = 0.05

# A socket's path has 108 bytes (unix(7)); containerd's own sockets lie up to 40
# bytes deeper than our folder.
LONGEST_RUN_FOLDER = 60

DAEMONS = ("dockerd", "containerd")


class EngineFailed(Exception):
    """The private engine did not start."""


class EngineSurvived(Exception):
    """Something of the private engine would not end."""


class PrivateEngine:
    """A ``dockerd`` whose files all lie below ``home``.

    Where that path is too long for sockets, they lie in a folder below ``/run``.
    """

    def __init__(self, home: Path) -> None:
        self.home = home
        self.run = home / "run"
        if len(os.fsencode(self.run)) > LONGEST_RUN_FOLDER:
            name = hashlib.sha256(os.fsencode(home)).hexdigest()[:12]
            self.run = Path("/run") / f"tonnage-{name}"
        self.socket = self.run / "docker.sock"
        self._dockerd: subprocess.Popen[bytes] | None = None

    @property
    def address(self) -> str:
        """What ``DOCKER_HOST`` must say to reach it."""
        return f"unix://{self.socket}"

    def unavailable(self) -> str | None:
        """Why it cannot be started here; ``None`` if it can."""
        if os.geteuid() != 0:
            return "none is running, and a private one needs root"
        if shutil.which("dockerd", path=_search_path()) is None:
            return "none is running, and dockerd is not installed (package docker.io)"
        return None

    def start(self) -> None:
        """Have it answer; one that answers already is left alone.

        Raises ``EngineFailed`` with the end of its log.
        """
        if self._answers():
            return
        self.stop()
        self.home.mkdir(parents=True, exist_ok=True)
        self.run.mkdir(parents=True, exist_ok=True, mode=0o700)
        try:
            self._launch()
        except BaseException:
            self.stop()
            raise

    def stop(self) -> None:
        """End its daemons, wait until they are gone, and release what they held.

        Idempotent. Raises ``EngineSurvived`` when a daemon does.
        """
        for number in (signal.SIGTERM, signal.SIGKILL):
            # dockerd first: it ends its containers, and the containerd it started.
            for name in DAEMONS:
                _end(self._daemons(name), number)
        self._waited()
        if survivors := [*self._daemons("")]:
            raise EngineSurvived(f"the private engine did not end: processes {survivors}")
        _unmount_below(self.home, self.run)
        made = self.home / "made-bridge"
        if made.exists():
            bridge.remove(bridge.NAME)
            made.unlink()
        shutil.rmtree(self.run, ignore_errors=True)

    def kill(self) -> None:
        """End dockerd alone, and with it its containerd, as a crash does: shims and
        containers live on. ``start_again`` takes it from there."""
        _end(self._daemons("dockerd"), signal.SIGKILL)
        self._waited()

    def start_again(self) -> None:
        """Start dockerd over what it left. Raises ``EngineFailed``.

        Where nobody waits for orphans, its containerd stays a process of that id, which
        dockerd would take to be alive.
        """
        for name in ("dockerd.pid", "containerd/containerd.pid"):
            (self.run / name).unlink(missing_ok=True)
        self._launch()

    def _waited(self) -> None:
        """Take note that the daemon that we started, and have ended, is gone."""
        if self._dockerd is not None:
            with suppress(subprocess.TimeoutExpired):  # it survived: the caller will see
                self._dockerd.wait(STOP_SECONDS)

    def _launch(self) -> None:
        log = self.home / "dockerd.log"
        with log.open("wb") as output:
            self._dockerd = process = subprocess.Popen(
                [*self._command(), *self._bridge_options()],
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=output,
                env={**os.environ, "PATH": _search_path()},
                start_new_session=True,
            )
        deadline = time.monotonic() + START_SECONDS
        while not self._answers():
            if process.poll() is not None or time.monotonic() > deadline:
                tail = log.read_text(errors="replace").splitlines()[-4:]
                raise EngineFailed("dockerd did not start:\n    " + "\n    ".join(tail))
            time.sleep(POLL_SECONDS)

    def _command(self) -> list[str]:
        return [
            "dockerd",
            f"--host={self.address}",
            f"--data-root={self.home / 'data'}",
            f"--exec-root={self.run}",
            f"--pidfile={self.run / 'dockerd.pid'}",
            "--containerd-namespace=tonnage",
            "--containerd-plugins-namespace=tonnage-plugins",
            "--iptables=false",
            "--ip6tables=false",
            "--ip-forward=false",
            "--ip-masq=false",
            "--shutdown-timeout=10",
        ]

    def _bridge_options(self) -> list[str]:
        """Two engines on one bridge would hand out the same addresses twice."""
        if any(_processes("dockerd")):
            return ["--bridge=none"]
        if not bridge.exists(bridge.NAME):
            (self.home / "made-bridge").touch()
        return []

    def _answers(self) -> bool:
        connection = _UnixConnection(self.socket)
        try:
            connection.request("GET", "/_ping")
            return connection.getresponse().status == http.client.OK
        except (OSError, http.client.HTTPException):
            return False
        finally:
            connection.close()

    def _daemons(self, name: str) -> list[int]:
        """Our daemons whose name begins with ``name``, told by our folder in their arguments."""
        ours = os.fsencode(self.run)
        return [
            pid
            for daemon in DAEMONS
            if daemon.startswith(name)
            for pid in _processes(daemon)
            if ours in _command_line(pid)
        ]


class _UnixConnection(http.client.HTTPConnection):
    def __init__(self, path: Path) -> None:
        super().__init__("localhost", timeout=5)
        self._path = path

    def connect(self) -> None:
        self.sock = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        self.sock.settimeout(self.timeout)
        self.sock.connect(os.fspath(self._path))


def _search_path() -> str:
    """Daemons lie in sbin, which is not on every user's path."""
    return os.environ.get("PATH", os.defpath) + ":/usr/local/sbin:/usr/sbin:/sbin"


def _processes(name: str) -> Iterable[int]:
    """Living processes whose command name begins with ``name``."""
    for folder in Path("/proc").glob("[0-9]*"):
        with suppress(OSError):
            if (folder / "comm").read_text().startswith(name) and _command_line(int(folder.name)):
                yield int(folder.name)


def _command_line(pid: int) -> bytes:
    """Its arguments; empty when it is gone, or ended and not yet waited for."""
    try:
        return Path(f"/proc/{pid}/cmdline").read_bytes()
    except OSError:
        return b""


def _end(pids: Iterable[int], number: signal.Signals) -> None:
    """Signal the processes and wait, within bounds, until they are gone."""
    pids = [*pids]
    for pid in pids:
        with suppress(ProcessLookupError):
            os.kill(pid, number)
    deadline = time.monotonic() + STOP_SECONDS
    while any(_command_line(pid) for pid in pids) and time.monotonic() < deadline:
        time.sleep(POLL_SECONDS)
    for pid in pids:
        with suppress(ChildProcessError):
            os.waitpid(pid, os.WNOHANG)


def _unmount_below(*folders: Path) -> None:
    """Release mounts that the daemons left, the deepest first."""
    mounts = [line.split()[4] for line in Path("/proc/self/mountinfo").read_text().splitlines()]
    for mount in sorted(mounts, key=len, reverse=True):
        if any(Path(mount).is_relative_to(folder) for folder in folders):
            subprocess.run(["umount", "--lazy", mount], check=False)


if __name__ == "__main__":
    # For `make clean`: ends what a killed command left.
    PrivateEngine(Path(__file__).resolve().parent.parent / "build" / "engine").stop()
