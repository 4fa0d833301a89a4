"""A container engine of our own: started, and ended without a trace. Standard library only.

Its images stay in ``HOME/data`` for the next time. It touches no firewall and no
routing; the one thing it makes outside its folder is the bridge ``docker0``, which
is removed again. Beside another engine it makes a bridge of another name.
"""

from __future__ import annotations

import hashlib
import json
import os
import shutil
import signal
import subprocess
from collections.abc import Mapping
from pathlib import Path
from typing import ClassVar

from deploy import bridge, daemons
from deploy.daemons import EngineSurvived

_MASK = "255.255.255.0"

DAEMONS = ("dockerd", "containerd")

# gVisor's ptrace platform needs no KVM, which nested hosts rarely have or only seem to.
# Without a stack of its own and without cgroups it starts wherever an engine does.
RUNSC_ARGUMENTS = ("--platform=ptrace", "--ignore-cgroups", "--network=none")


class PrivateEngine(daemons.PrivateDaemon):
    """A ``dockerd``, with the containerd that it starts."""

    socket_name = "docker.sock"
    programs: ClassVar[Mapping[str, str]] = {"dockerd": "docker.io"}

    def stop(self) -> None:
        """End its daemons, wait until they are gone, and release what they held.

        Idempotent. Raises ``EngineSurvived`` when a daemon does.
        """
        for number in (signal.SIGTERM, signal.SIGKILL):
            # dockerd first: it ends its containers, and the containerd it started.
            for name in DAEMONS:
                daemons.end(self._daemons(name), number)
        daemons.take_note_of_the_end(self._process)
        if survivors := [*self._daemons("")]:
            raise EngineSurvived(f"the private engine did not end: processes {survivors}")
        daemons.unmount_below(self.home, self.run)
        made = self.home / "made-bridge"
        if made.exists():
            bridge.remove(made.read_text() or bridge.NAME)
            made.unlink()
        shutil.rmtree(self.run, ignore_errors=True)

    def kill(self) -> None:
        """End dockerd alone, and with it its containerd, as a crash does: shims and
        containers live on. ``start_again`` takes it from there."""
        daemons.end(self._daemons("dockerd"), signal.SIGKILL)
        daemons.take_note_of_the_end(self._process)

    def start_again(self) -> None:
        """Start dockerd over what it left. Raises ``EngineFailed``.

        Where nobody waits for orphans, its containerd stays a process of that id, which
        dockerd would take to be alive.
        """
        for name in ("dockerd.pid", "containerd/containerd.pid"):
            (self.run / name).unlink(missing_ok=True)
        self._launch()

    def _launch(self) -> None:
        log = self.home / "dockerd.log"
        self._configuration.write_text(json.dumps({"runtimes": _low_level_runtimes()}))
        with log.open("wb") as output:
            self._process = subprocess.Popen(
                [*self._command(), *self._bridge_options()],
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=output,
                env={**os.environ, "PATH": daemons.search_path()},
                start_new_session=True,
            )
        daemons.wait_until_it_answers(self._process, self.socket, log)

    def _command(self) -> list[str]:
        return [
            "dockerd",
            # The host's own configuration is about the host's own engine.
            f"--config-file={self._configuration}",
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

    @property
    def _configuration(self) -> Path:
        return self.home / "daemon.json"

    def _bridge_options(self) -> list[str]:
        """Two engines on one bridge would hand out the same addresses twice; and one that is
        told to have none removes docker0, whoever's it is. So beside another it has its own."""
        made = self.home / "made-bridge"
        if any(daemons.processes("dockerd")):
            name = self._own_bridge()
            made.write_text(name)
            return [f"--bridge={name}"]
        if not bridge.exists(bridge.NAME):
            made.write_text(bridge.NAME)
        return []

    def _own_bridge(self) -> str:
        """A bridge of this folder's own name and addresses."""
        mark = hashlib.sha256(os.fsencode(self.home)).hexdigest()[:8]
        name = f"tonnage{mark}"
        if not bridge.exists(name):
            bridge.create(name, f"10.{90 + int(mark[:2], 16) % 64}.{int(mark[2:4], 16)}.1", _MASK)
        return name

    def _daemons(self, name: str) -> list[int]:
        """Our daemons whose name begins with ``name``, told by our folder in their arguments."""
        ours = os.fsencode(self.run)
        return [
            pid
            for daemon in DAEMONS
            if daemon.startswith(name)
            for pid in daemons.processes(daemon)
            if ours in daemons.command_line(pid)
        ]


def _low_level_runtimes() -> dict[str, object]:
    """Those that are installed beside the engine's own, by name, as daemon.json has them."""
    runsc = shutil.which("runsc", path=daemons.search_path())
    return {"runsc": {"path": runsc, "runtimeArgs": [*RUNSC_ARGUMENTS]}} if runsc else {}


if __name__ == "__main__":
    # For `make clean`: ends what a killed command left.
    PrivateEngine(Path(__file__).resolve().parent.parent / "build" / "engine").stop()
