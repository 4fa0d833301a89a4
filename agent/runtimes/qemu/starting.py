"""Starting a machine: two socket pairs, one command line, one process."""

from __future__ import annotations

import socket
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

from agent.runtimes.qemu import vmm
from agent.runtimes.qemu.machine import Machine, qemu_arguments


@dataclass(frozen=True, slots=True)
class Plug:
    """Our ends of a VM's two sockets; both non-blocking."""

    console: socket.socket
    monitor: socket.socket

    def close(self) -> None:
        """Close both. Idempotent."""
        self.console.close()
        self.monitor.close()


@dataclass(frozen=True, slots=True)
class Started:
    """A VMM that was just started."""

    process: vmm.VmmProcess
    plug: Plug
    command: tuple[str, ...]


def start(
    machine: Machine,
    name: str,
    *,
    lifetime_seconds: float,
    cgroup_folders: Iterable[Path],
    stderr: Path,
    inherited: Sequence[int] = (),
) -> Started:
    """Start a machine's VMM. Must run on the event loop. Raises ``OSError``.

    QEMU inherits its ends of the pairs; they are closed here, so that its end
    is seen as the end of the streams. It has the ``inherited`` descriptors too.
    """
    console, their_console = socket.socketpair()
    monitor, their_monitor = socket.socketpair()
    plug = Plug(console, monitor)
    with their_console, their_monitor:
        console.setblocking(False)
        monitor.setblocking(False)
        command = qemu_arguments(
            machine, name, console_fd=their_console.fileno(), monitor_fd=their_monitor.fileno()
        )
        try:
            process = vmm.spawn(
                command,
                lifetime_seconds=lifetime_seconds,
                cgroup_folders=cgroup_folders,
                sockets=(their_console.fileno(), their_monitor.fileno(), *inherited),
                stderr=stderr,
            )
        except BaseException:
            plug.close()
            raise
    return Started(process, plug, command)
