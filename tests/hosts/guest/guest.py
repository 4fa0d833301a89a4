"""A guest to give orders to, to reboot, and to pull the plug of."""

from __future__ import annotations

import base64
import os
import shlex
import shutil
import subprocess
from collections.abc import Mapping, Sequence
from pathlib import Path
from types import TracebackType
from typing import Self

from tests.hosts.guest.machine import Hardware, Machine
from tests.hosts.guest.orders import (
    Done,
    GuestRestarted,
    GuestSilent,
    OrderFailed,
    Orders,
)

BOOT_SECONDS = 120.0
ORDER_SECONDS = 60.0
_EVIDENCE_SECONDS = 20.0
_BLOCK_BYTES = 4096
_EVIDENCE = (
    "systemctl --failed --no-legend; journalctl --no-pager --no-hostname -u 'tonnage*' -n 40; "
    "journalctl --no-pager --no-hostname -p warning -n 20"
)


class Guest:
    """One server, from power on to the end of the ``with`` block, which leaves nothing.

    An exception that leaves the block gets the end of the guest's journal and console as
    a note. ``cargo``, files and folders on the file system of ``folder``, is seen below
    ``/srv/cargo`` and cannot be written there.
    """

    def __init__(
        self,
        image: Path,
        folder: Path,
        forwards: Mapping[int, int] | None = None,
        cargo: Sequence[Path] = (),
    ) -> None:
        load = folder / "cargo.raw"
        _pack(cargo, load)
        hardware = Hardware(image / "vmlinuz", image / "base.raw", load, dict(forwards or {}))
        self.machine = Machine(hardware, folder)
        self.boot_id = ""
        self._orders: Orders | None = None

    def __enter__(self) -> Self:
        try:
            self.power_on()
        except BaseException as error:
            self._leave(error)
            raise
        return self

    def __exit__(
        self,
        _kind: type[BaseException] | None,
        error: BaseException | None,
        _trace: TracebackType | None,
    ) -> None:
        self._leave(error)

    def power_on(self) -> None:
        """Switch it on and wait until it takes orders. Raises ``GuestSilent``."""
        self._orders = Orders(self.machine.power_on())
        self._booted()

    def pull_plug(self) -> None:
        """End it as a power cut would; ``power_on`` brings back what had reached its disk."""
        self._hang_up()
        self.machine.power_off()

    def reboot(self) -> None:
        """Have systemd end everything in order, and wait until the guest is back."""
        self._line().send("systemctl reboot", ORDER_SECONDS)
        self._booted()

    def run(self, script: str, seconds: float = ORDER_SECONDS) -> str:
        """Have root carry out a bash script; return what it wrote to standard output.

        Raises ``OrderFailed`` if it ends with another code than 0.
        """
        done = self.attempt(script, seconds)
        if done.code != 0:
            raise OrderFailed(script, done)
        return done.output

    def attempt(self, script: str, seconds: float = ORDER_SECONDS) -> Done:
        """Have root carry out a bash script, however it ends."""
        return self._line().run(script, seconds)

    def put(self, path: str, content: str, mode: str = "644") -> None:
        """Write a small file, its folder included."""
        encoded = base64.b64encode(content.encode()).decode()
        target = shlex.quote(path)
        self.run(f"install -D -m {mode} <(base64 -d <<<{encoded}) {target}")

    def evidence(self) -> str:
        """The end of its journal, and of its console. Raises nothing."""
        try:
            said = self.attempt(_EVIDENCE, _EVIDENCE_SECONDS).output
        except (GuestSilent, GuestRestarted, OSError) as error:
            said = f"(no journal: {error})"
        return f"--- the guest's journal\n{said}\n--- its console\n{self.machine.last_words()}"

    def _booted(self) -> None:
        self.boot_id = self._line().booted(BOOT_SECONDS, self.boot_id)
        self.run("udevadm settle && mkdir -p /srv/cargo && mount -o ro /dev/vda /srv/cargo")

    def _line(self) -> Orders:
        if self._orders is None:
            raise GuestSilent("the guest is switched off")
        return self._orders

    def _hang_up(self) -> None:
        if self._orders is not None:
            self._orders.close()
            self._orders = None

    def _leave(self, error: BaseException | None) -> None:
        try:
            if isinstance(error, Exception):
                error.add_note(self.evidence())
        finally:
            self._hang_up()
            self.machine.discard()


def _pack(paths: Sequence[Path], into: Path) -> None:
    """Make a disk of them. It is mounted, not copied: what the guest does not read is free."""
    staged = into.with_suffix("")
    staged.mkdir()
    for path in paths:
        if path.is_dir():
            shutil.copytree(path, staged / path.name, symlinks=True, copy_function=os.link)
        else:
            os.link(path, staged / path.name)
    files = [file.lstat() for file in staged.rglob("*")]
    # Whole blocks, an inode for each, and something for the tables.
    blocks = sum(file.st_size // _BLOCK_BYTES + 1 for file in files)
    size = f"{(blocks * 5 // 4) * _BLOCK_BYTES // 1024 + 16384}k"
    inodes = str(len(files) + 64)
    made = [
        "mkfs.ext4",
        "-q",
        "-b",
        str(_BLOCK_BYTES),
        "-N",
        inodes,
        "-d",
        str(staged),
        str(into),
        size,
    ]
    subprocess.run(made, check=True)
    shutil.rmtree(staged)
