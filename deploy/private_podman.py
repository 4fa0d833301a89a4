"""A Podman service of our own: started, and ended without a trace. Standard library only.

Its images stay in ``HOME/data`` for the next time. Its network is a bridge of ours,
without a way out: no firewall and no routing is touched.
"""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path
from typing import ClassVar

from deploy import bridge, daemons
from deploy.daemons import EngineSurvived

# Podman's own choice, crun, refuses hosts with a hybrid of both cgroup versions.
LOW_LEVEL = "runc"
REMOVE_SECONDS = 60.0
VARIABLE = "CONTAINER_HOST"

_BRIDGE = "tonnage-podman"
_ADDRESS, _MASK, _SUBNET = "10.89.77.1", "255.255.255.0", "10.89.77.0/24"
_PLUGINS = Path("/usr/lib/cni")
_PROGRAMS = ("podman", "conmon")
_CGROUPS = Path("/sys/fs/cgroup")
# Locks in shared memory are those of every Podman of this host, which are 2048 in all: a lock for
# each container. Ours are files below our own folder.
_CONFIGURATION = """\
[engine]
lock_type = "file"
"""


class PrivatePodman(daemons.PrivateDaemon):
    """A ``podman system service``, with the containers that outlive it."""

    socket_name = "podman.sock"
    programs: ClassVar[Mapping[str, str]] = {"podman": "podman", LOW_LEVEL: "runc"}

    def stop(self) -> None:
        """Remove its containers, end it, and release what it held.

        Idempotent. Raises ``EngineSurvived`` when something of it does.
        """
        if self.run.exists():
            self._configuration.write_text(_CONFIGURATION)
            self._remove_containers()
        for number in (signal.SIGTERM, signal.SIGKILL):
            daemons.end(self._processes(), number)
        daemons.take_note_of_the_end(self._process)
        if survivors := self._processes():
            raise EngineSurvived(f"the private podman did not end: processes {survivors}")
        daemons.unmount_below(self.home, self.run)
        made = self.home / "made-bridge"
        if made.exists():
            bridge.remove(_BRIDGE)
            made.unlink()
        _remove_cgroups()
        shutil.rmtree(self.run, ignore_errors=True)

    def _launch(self) -> None:
        if (_PLUGINS / "bridge").exists() and not bridge.exists(_BRIDGE):
            (self.home / "made-bridge").touch()
            bridge.create(_BRIDGE, _ADDRESS, _MASK)
        self._configuration.write_text(_CONFIGURATION)
        self._networks.mkdir(exist_ok=True)
        (self._networks / "87-podman.conflist").write_text(json.dumps(self._network()))
        log = self.home / "podman.log"
        with log.open("wb") as output:
            self._process = subprocess.Popen(
                [*self._podman(), "system", "service", "--time=0", self.address],
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=output,
                env=self._environment(),
                start_new_session=True,
            )
        daemons.wait_until_it_answers(self._process, self.socket, log)

    def _podman(self) -> list[str]:
        """Podman with our folders: as a service, and as a command beside it."""
        return [
            "podman",
            f"--root={self.home / 'data'}",
            f"--runroot={self.run / 'containers'}",
            f"--tmpdir={self.run / 'libpod'}",
            "--storage-driver=overlay",
            f"--runtime={LOW_LEVEL}",
            "--cgroup-manager=cgroupfs",
            "--events-backend=none",
            "--network-backend=cni",
            f"--network-config-dir={self._networks}",
        ]

    @property
    def _configuration(self) -> Path:
        return self.home / "containers.conf"

    def _environment(self) -> dict[str, str]:
        """With CONTAINER_HOST set, podman would be the client of another service."""
        own = {name: value for name, value in os.environ.items() if name != VARIABLE}
        return {
            **own,
            "PATH": daemons.search_path(),
            "CONTAINERS_CONF": str(self._configuration),
        }

    @property
    def _networks(self) -> Path:
        return self.home / "networks"

    def _network(self) -> dict[str, object]:
        """Podman's default network, of the name that it looks for. The bridge has its address
        from us: the plugin would have the host forward packets."""
        addresses = {
            "type": "host-local",
            "dataDir": str(self.run / "addresses"),
            "ranges": [[{"subnet": _SUBNET, "gateway": _ADDRESS}]],
        }
        plugin = {"type": "bridge", "bridge": _BRIDGE, "ipam": addresses}
        return {"cniVersion": "0.4.0", "name": "podman", "plugins": [plugin]}

    def _remove_containers(self) -> None:
        """They outlive the service: each has a conmon. What this leaves is killed after."""
        command = [*self._podman(), "rm", "--all", "--force", "--time=0"]
        with suppress(OSError, subprocess.TimeoutExpired):
            subprocess.run(
                command,
                env=self._environment(),
                capture_output=True,
                timeout=REMOVE_SECONDS,
                check=False,
            )

    def _processes(self) -> list[int]:
        """Ours, told by our folder in their arguments."""
        ours = os.fsencode(self.run)
        return [
            pid
            for program in _PROGRAMS
            for pid in daemons.processes(program)
            if ours in daemons.command_line(pid)
        ]


def _remove_cgroups() -> None:
    """Podman's groups, which it leaves; the kernel keeps those that somebody is in."""
    for name in ("libpod_parent/conmon", "libpod_parent"):
        for group in [*_CGROUPS.glob(f"*/{name}"), _CGROUPS / name]:
            with suppress(OSError):
                group.rmdir()


if __name__ == "__main__":
    # For `make clean`: ends what a killed command left.
    PrivatePodman(Path(__file__).resolve().parent.parent / "build" / "podman").stop()
