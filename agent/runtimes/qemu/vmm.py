"""The VMM's processes: how they begin, how they are watched, how they surely end.

``sh`` enters the cgroups and becomes ``timeout``, which starts ``setpriv``, which
becomes QEMU. So two processes belong to a VM, and each way to end ends both:

* The deadline: ``timeout`` kills QEMU, whatever became of the agent. A timer in
  the agent dies with the agent; QEMU itself has no deadline and ignores SIGALRM.
* The death of ``timeout`` (a stray kill, the OOM killer) kills QEMU, by the
  parent-death signal that ``setpriv`` asks for.
* ``VmmProcess.kill``: QEMU first, so that ``timeout`` buries it and ends by itself;
  then, if it does not, everything in the session's process group.

No parent-death signal ties a VM to the *agent*: it is sent when the thread that
forked ends, not the process, and an agent that crashed and came back must find
its VMs in order to report them. The deadline bounds them instead.

The processes are made by ``subprocess`` with vfork (no ``preexec_fn``), and their
end is learnt from a pidfd on the event loop: no thread for each VM.
"""

from __future__ import annotations

import asyncio
import contextlib
import math
import os
import signal
import subprocess
from collections.abc import Iterable, Sequence
from itertools import pairwise
from pathlib import Path

from agent.process import Identity, children, cmdline, pids
from agent.runtimes.child import Child
from agent.runtimes.killing import identities, kill
from agent.runtimes.qemu.machine import PROGRAM

NEEDED_PROGRAMS = (PROGRAM, "timeout", "setpriv", "sh")
_ENTER = (
    'while [ "$1" != -- ]; do echo $$ >"$1/cgroup.procs" || exit 125; shift; done; shift; exec "$@"'
)
_KEEPER_SECONDS = 0.5


class VmmProcess(Child):
    """A running VMM of this agent's own making."""

    def __init__(self, popen: subprocess.Popen[bytes]) -> None:
        super().__init__(popen)
        self._vmm: Identity | None = None

    def pids(self) -> tuple[int, ...]:
        """The keeper of the deadline and the VMM; empty once both are gone."""
        keeper = () if self.ended else (self.popen.pid,)
        vmm = self.vmm()
        return keeper if vmm is None else (*keeper, vmm.pid)

    def vmm(self) -> Identity | None:
        """The VMM itself; ``None`` before it began and after it ended."""
        if self._vmm is None and not self.ended:
            self._vmm = next(iter(identities(children(self.popen.pid))), None)
        return self._vmm if self._vmm is not None and self._vmm.alive() else None

    async def kill(self) -> tuple[Identity, ...]:
        """End both processes; return what outlives five seconds. Idempotent.

        The last signal goes to the whole group: a child that is being forked in
        this very moment gets it too.
        """
        vmm = self.vmm()
        survivors = await kill((vmm,) if vmm is not None else ())
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(_KEEPER_SECONDS):
                await self.wait()
        if self.ended:
            return survivors
        keeper = identities((self.popen.pid,))
        with contextlib.suppress(ProcessLookupError):
            os.killpg(self.popen.pid, signal.SIGKILL)
        return (*survivors, *await kill(keeper))


def spawn(
    arguments: Sequence[str],
    *,
    lifetime_seconds: float,
    cgroup_folders: Iterable[Path],
    sockets: Iterable[int],
    stderr: Path,
) -> VmmProcess:
    """Start QEMU with ``arguments``; returns once the first program of the chain runs.

    ``sockets`` are inherited by number. Raises ``OSError``.
    """
    deadline = str(max(1, math.ceil(lifetime_seconds)))
    command = [
        *("sh", "-c", _ENTER, "tonnage", *map(str, cgroup_folders), "--"),
        *("timeout", "--signal=KILL", deadline, "setpriv", "--pdeathsig", "KILL", "--"),
        *arguments,
    ]
    with stderr.open("ab") as log:
        popen = subprocess.Popen(
            command,
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=log,
            pass_fds=tuple(sockets),
            start_new_session=True,
        )
    try:
        return VmmProcess(popen)
    except BaseException:  # no descriptor left to watch it with
        os.killpg(popen.pid, signal.SIGKILL)
        popen.wait()
        raise


def find(name_prefix: str) -> dict[str, tuple[Identity, ...]]:
    """Every process of ours on this host by its VM's name, of those that begin so.

    A process counts if it is QEMU, or one of those that ``start`` puts before it with
    QEMU following on its command line, and the name is a whole argument after
    ``-name``: nothing else is taken for ours, whatever words it was started with.
    """
    found: dict[str, list[int]] = {}
    for pid in pids():
        name = _vm_name(cmdline(pid))
        if name is not None and name.startswith(name_prefix):
            found.setdefault(name, []).append(pid)
    return {name: identities(its) for name, its in found.items()}


# The programs of ``start``'s command, the last of which becomes the VM.
_CHAIN = ("sh", "timeout", "setpriv", PROGRAM)


def _vm_name(command: Sequence[str]) -> str | None:
    programs = [word.rpartition("/")[2] for word in command]
    if PROGRAM not in programs or programs[0] not in _CHAIN:
        return None
    for option, value in pairwise(command):
        if option == "-name":
            return value
    return None
