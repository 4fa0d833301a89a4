"""How runc begins, and how a container surely ends.

``sh`` starts ``timeout``, which becomes the parent of ``runc run``, which stays in the
foreground: it passes the console on and tells the exit code, and so stands where an engine
has its shim. Three processes belong to a container beside its own, and whichever of them
ends first, the container ends with it:

* The deadline: ``timeout`` kills runc, whatever became of the agent.
* The end of runc or of ``timeout`` (a stray kill, the OOM killer): ``sh`` sees a container
  that runc did not take away, and has it deleted.

Only the death of ``sh`` itself leaves a container to outlive its deadline; a sweep finds it.
"""

from __future__ import annotations

import math
import os
import signal
import socket
import subprocess
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from agent.process import Identity, cmdline, pids
from agent.runtimes.child import Child
from agent.runtimes.killing import identities

PROGRAMS = ("sh", "timeout", "runc")
_NAME = "tonnage"
_KEEP = """\
timeout --foreground --signal=KILL "$1" "$2" --root "$3" run --bundle "$4" --pid-file "$4/pid" "$5"
code=$?
[ ! -e "$3/$5" ] || "$2" --root "$3" delete --force "$5"
exit $code"""


@dataclass(frozen=True, slots=True)
class Order:
    """What one container is started with; ``asked``: something will be on its console."""

    runc: str
    state: Path
    bundle: Path
    container: str
    lifetime_seconds: float
    asked: bool

    def command(self) -> tuple[str, ...]:
        """The keeper's command line."""
        deadline = str(max(1, math.ceil(self.lifetime_seconds)))
        words = (deadline, self.runc, str(self.state), str(self.bundle), self.container)
        return ("sh", "-c", _KEEP, _NAME, *words)


@dataclass(frozen=True, slots=True)
class Kept:
    """A keeper that was just started, and our end of the container's console, a
    descriptor that does not block."""

    child: Child
    console: int


def start(order: Order) -> Kept:
    """Start runc; returns once the keeper runs. Must run on the event loop. Raises ``OSError``.

    The console is a pair of sockets, open before anything is started.
    """
    console, theirs = socket.socketpair()
    try:
        console.setblocking(False)
        with theirs:
            end = theirs.fileno()
            popen = subprocess.Popen(
                order.command(),
                stdin=end if order.asked else subprocess.DEVNULL,
                stdout=end,
                stderr=end,
                start_new_session=True,
            )
        return Kept(_watched(popen), console.detach())
    except BaseException:
        console.close()
        raise


def _watched(popen: subprocess.Popen[bytes]) -> Child:
    try:
        return Child(popen)
    except BaseException:  # no descriptor left to watch it with
        os.killpg(popen.pid, signal.SIGKILL)
        popen.wait()
        raise


def find(prefix: str) -> dict[str, tuple[Identity, ...]]:
    """Every keeper on this host by its container's name, of those that begin so.

    A process counts if it is one of the keeper's programs and its last word is the name.
    """
    found: dict[str, list[int]] = {}
    for pid in pids():
        command = cmdline(pid)
        if _is_keeper(command) and command[-1].startswith(prefix):
            found.setdefault(command[-1], []).append(pid)
    return {name: identities(its) for name, its in found.items()}


def _is_keeper(command: Sequence[str]) -> bool:
    return len(command) > 1 and command[0].rpartition("/")[2] in PROGRAMS
