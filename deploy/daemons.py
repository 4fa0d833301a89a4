"""What private engines have in common: being found, ended, asked, and tidied after."""

from __future__ import annotations

import hashlib
import http.client
import os
import shutil
import signal
import socket
import subprocess
import time
from abc import ABC, abstractmethod
from collections.abc import Iterable, Mapping
from contextlib import suppress
from pathlib import Path
from typing import ClassVar

START_SECONDS = 60.0
STOP_SECONDS = 30.0
POLL_SECONDS = 0.05

# A socket's path has 108 bytes (unix(7)); containerd's own sockets lie up to 40
# bytes deeper than our folder.
LONGEST_RUN_FOLDER = 60


class EngineFailed(Exception):
    """A private engine did not start."""


class EngineSurvived(Exception):
    """Something of a private engine would not end."""


def run_folder(home: Path) -> Path:
    """Where an engine's sockets lie: in its home, or where that is too deep below ``/run``."""
    if len(os.fsencode(home / "run")) <= LONGEST_RUN_FOLDER:
        return home / "run"
    return Path("/run") / f"tonnage-{hashlib.sha256(os.fsencode(home)).hexdigest()[:12]}"


class PrivateDaemon(ABC):
    """A daemon of an engine whose files all lie below ``home``.

    Where that path is too long for sockets, they lie in a folder below ``/run``.
    """

    socket_name: ClassVar[str]
    programs: ClassVar[Mapping[str, str]]
    """What it needs, each with the Debian package that has it."""

    def __init__(self, home: Path) -> None:
        self.home = home
        self.run = run_folder(home)
        self.socket = self.run / self.socket_name
        self._process: subprocess.Popen[bytes] | None = None

    @property
    def address(self) -> str:
        """What its variable must say to reach it."""
        return f"unix://{self.socket}"

    def unavailable(self) -> str | None:
        """Why it cannot be started here; ``None`` if it can."""
        if os.geteuid() != 0:
            return "none is running, and a private one needs root"
        for program, package in self.programs.items():
            if shutil.which(program, path=search_path()) is None:
                return f"none is running, and {program} is not installed (package {package})"
        return None

    def start(self) -> None:
        """Have it answer; one that answers already is left alone.

        Raises ``EngineFailed`` with the end of its log.
        """
        if answers(self.socket):
            return
        self.stop()
        self.home.mkdir(parents=True, exist_ok=True)
        self.run.mkdir(parents=True, exist_ok=True, mode=0o700)
        try:
            self._launch()
        except BaseException:
            self.stop()
            raise

    @abstractmethod
    def _launch(self) -> None:
        """Start it and wait until it answers."""

    @abstractmethod
    def stop(self) -> None:
        """End it with its containers, and release what it held.

        Idempotent. Raises ``EngineSurvived`` when something of it does.
        """


class _UnixConnection(http.client.HTTPConnection):
    def __init__(self, path: Path) -> None:
        super().__init__("localhost", timeout=5)
        self._path = path

    def connect(self) -> None:
        self.sock = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        self.sock.settimeout(self.timeout)
        self.sock.connect(os.fspath(self._path))


def answers(path: Path) -> bool:
    """Whether an engine of Docker's API answers on the socket."""
    connection = _UnixConnection(path)
    try:
        connection.request("GET", "/_ping")
        return connection.getresponse().status == http.client.OK
    except (OSError, http.client.HTTPException):
        return False
    finally:
        connection.close()


def wait_until_it_answers(process: subprocess.Popen[bytes], path: Path, log: Path) -> None:
    """Raises ``EngineFailed``, with the end of its log, if it ends or takes too long."""
    deadline = time.monotonic() + START_SECONDS
    while not answers(path):
        if process.poll() is not None or time.monotonic() > deadline:
            tail = log.read_text(errors="replace").splitlines()[-4:]
            name = Path(str(process.args[0] if isinstance(process.args, list) else "")).name
            raise EngineFailed(f"{name} did not start:\n    " + "\n    ".join(tail))
        time.sleep(POLL_SECONDS)


def search_path() -> str:
    """Daemons lie in sbin, which is not on every user's path."""
    return os.environ.get("PATH", os.defpath) + ":/usr/local/sbin:/usr/sbin:/sbin"


def processes(name: str) -> Iterable[int]:
    """Living processes whose command name begins with ``name``."""
    for folder in Path("/proc").glob("[0-9]*"):
        with suppress(OSError):
            if (folder / "comm").read_text().startswith(name) and command_line(int(folder.name)):
                yield int(folder.name)


def command_line(pid: int) -> bytes:
    """Its arguments; empty when it is gone, or ended and not yet waited for."""
    try:
        return Path(f"/proc/{pid}/cmdline").read_bytes()
    except OSError:
        return b""


def end(pids: Iterable[int], number: signal.Signals) -> None:
    """Signal the processes and wait, within bounds, until they are gone."""
    pids = [*pids]
    for pid in pids:
        with suppress(ProcessLookupError):
            os.kill(pid, number)
    deadline = time.monotonic() + STOP_SECONDS
    while any(command_line(pid) for pid in pids) and time.monotonic() < deadline:
        time.sleep(POLL_SECONDS)
    for pid in pids:
        with suppress(ChildProcessError):
            os.waitpid(pid, os.WNOHANG)


def take_note_of_the_end(process: subprocess.Popen[bytes] | None) -> None:
    """Of the daemon that we started, and have ended."""
    if process is not None:
        with suppress(subprocess.TimeoutExpired):  # it survived: the caller will see
            process.wait(STOP_SECONDS)


def unmount_below(*folders: Path) -> None:
    """Release mounts that the daemons left, the deepest first."""
    mounts = [line.split()[4] for line in Path("/proc/self/mountinfo").read_text().splitlines()]
    for mount in sorted(mounts, key=len, reverse=True):
        if any(Path(mount).is_relative_to(folder) for folder in folders):
            subprocess.run(["umount", "--lazy", mount], check=False)
