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
from collections.abc import Callable, Iterable, Sequence
from itertools import pairwise
from pathlib import Path

from agent.process import Identity, children, cmdline, pids
from agent.runtimes.qemu.machine import PROGRAM

NEEDED_PROGRAMS = (PROGRAM, "timeout", "setpriv", "sh")
_ENTER = (
    'while [ "$1" != -- ]; do echo $$ >"$1/cgroup.procs" || exit 125; shift; done; shift; exec "$@"'
)
_END_SECONDS = 5.0
_KEEPER_SECONDS = 0.5


class VmmProcess:
    """A running VMM of this agent's own making."""

    def __init__(self, popen: subprocess.Popen[bytes]) -> None:
        self._popen = popen
        self._loop = asyncio.get_running_loop()
        self._ended = asyncio.Event()
        self._vmm: Identity | None = None
        self._when_ended: list[Callable[[], None]] = []
        self._pidfd = os.pidfd_open(popen.pid)
        self._loop.add_reader(self._pidfd, self._on_end)

    @property
    def ended(self) -> bool:
        """Whether it has ended."""
        return self._ended.is_set()

    @property
    def exit_status(self) -> int | None:
        """Its exit status, negative for a signal; ``None`` while it runs."""
        return self._popen.returncode

    def pids(self) -> tuple[int, ...]:
        """The keeper of the deadline and the VMM; empty once both are gone."""
        keeper = () if self.ended else (self._popen.pid,)
        vmm = self.vmm()
        return keeper if vmm is None else (*keeper, vmm.pid)

    def vmm(self) -> Identity | None:
        """The VMM itself; ``None`` before it began and after it ended."""
        if self._vmm is None and not self.ended:
            self._vmm = next(iter(identities(children(self._popen.pid))), None)
        return self._vmm if self._vmm is not None and self._vmm.alive() else None

    def when_ended(self, callback: Callable[[], None]) -> None:
        """Call ``callback`` on the event loop once it has ended."""
        self._when_ended.append(callback)

    async def wait(self) -> None:
        """Wait for its end."""
        await self._ended.wait()

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
        keeper = identities((self._popen.pid,))
        with contextlib.suppress(ProcessLookupError):
            os.killpg(self._popen.pid, signal.SIGKILL)
        return (*survivors, *await kill(keeper))

    def _on_end(self) -> None:
        self._loop.remove_reader(self._pidfd)
        os.close(self._pidfd)
        self._popen.wait()
        self._ended.set()
        for callback in self._when_ended:
            callback()


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


def identities(found: Iterable[int]) -> tuple[Identity, ...]:
    """The identities of those pids that still exist."""
    return tuple(one for pid in found if (one := Identity.of(pid)) is not None)


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


async def kill(targets: Iterable[Identity]) -> tuple[Identity, ...]:
    """Kill processes and wait for their end; return those that outlive five seconds."""
    outcomes = await asyncio.gather(*(_kill_one(target) for target in targets))
    return tuple(target for target in outcomes if target is not None)


async def _kill_one(target: Identity) -> Identity | None:
    try:
        pidfd = os.pidfd_open(target.pid)
    except ProcessLookupError:
        return None
    loop = asyncio.get_running_loop()
    ended = asyncio.Event()
    loop.add_reader(pidfd, ended.set)
    try:
        if not target.alive():  # asked after opening: what the pidfd means stays the same
            return None
        signal.pidfd_send_signal(pidfd, signal.SIGKILL)
        async with asyncio.timeout(_END_SECONDS):
            await ended.wait()
    except ProcessLookupError:
        return None
    except TimeoutError:
        return target
    finally:
        loop.remove_reader(pidfd)
        os.close(pidfd)
    return None


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
