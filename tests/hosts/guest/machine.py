"""The machine that a guest runs on: one QEMU process, and its disk."""

from __future__ import annotations

import socket
import subprocess
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

# Newer CPU models cost more to emulate; this one has what wheels for Linux ask for.
CPU = "Nehalem"
# Translated code: less, and the guest translates itself anew all the time; more is slower.
TRANSLATED_MIB = 256
# Without AppArmor, as its Docker would want a parser that is not on the disk.
KERNEL = (
    "root=/dev/nvme0n1 rw console=ttyS0 quiet panic=-1 mitigations=off net.ifnames=0 "
    "systemd.show_status=false apparmor=0"
)
STOP_SECONDS = 30.0


@dataclass(frozen=True, slots=True)
class Hardware:
    """What the machine has. ``forwards`` maps the guest's TCP ports to ports of loopback
    here; ``cargo`` is a file that the guest reads as the disk ``/dev/vda``."""

    kernel: Path
    base: Path
    cargo: Path
    forwards: Mapping[int, int]
    memory_mib: int = 1280
    cpus: int = 2


class Machine:
    """A switch for the power. What the guest wrote and synced outlives ``power_off``."""

    def __init__(self, hardware: Hardware, folder: Path) -> None:
        self.console = folder / "console.log"
        self._hardware = hardware
        self._disk = folder / "disk.qcow2"
        self._log = folder / "qemu.log"
        self._process: subprocess.Popen[bytes] | None = None

    @property
    def pid(self) -> int | None:
        """QEMU's, while it runs."""
        return self._process.pid if self._process and self._process.poll() is None else None

    def power_on(self) -> socket.socket:
        """Start QEMU; return our end of the guest's port ``orders``."""
        assert self.pid is None, "the machine is on"
        if not self._disk.exists():
            self._make_disk()
        ours, theirs = socket.socketpair()
        with theirs, self._log.open("ab") as log:
            self._process = subprocess.Popen(
                command(self._hardware, self._disk, self.console, theirs.fileno()),
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                pass_fds=[theirs.fileno()],
                start_new_session=True,
            )
        return ours

    def power_off(self) -> None:
        """Pull the plug: the guest learns nothing of it. Nothing happens to one that is off."""
        process, self._process = self._process, None
        if process is not None:
            process.kill()
            process.wait(STOP_SECONDS)

    def discard(self) -> None:
        """Pull the plug and forget what the guest wrote."""
        self.power_off()
        self._disk.unlink(missing_ok=True)

    def last_words(self, lines: int = 15) -> str:
        """The end of what QEMU and the guest's console said."""
        paths = [path for path in (self._log, self.console) if path.exists()]
        texts = [path.read_text(errors="replace").splitlines()[-lines:] for path in paths]
        return "\n".join(line for text in texts for line in text)

    def _make_disk(self) -> None:
        base = self._hardware.base.resolve()
        over = ("-f", "qcow2", "-F", "raw", "-b", base)
        subprocess.run(["qemu-img", "create", "-q", *over, self._disk], check=True)


def command(hardware: Hardware, disk: Path, console: Path, orders: int) -> Sequence[str]:
    """QEMU's command line; it dies with us, however we end."""
    forwards = [
        f"hostfwd=tcp:127.0.0.1:{here}-:{there}" for there, here in hardware.forwards.items()
    ]
    return [
        *("setpriv", "--pdeathsig", "KILL", "qemu-system-x86_64"),
        *("-nodefaults", "-no-user-config", "-display", "none"),
        *("-M", "q35", "-accel", f"tcg,thread=multi,tb-size={TRANSLATED_MIB}", "-cpu", CPU),
        *("-m", str(hardware.memory_mib), "-smp", str(hardware.cpus)),
        *("-kernel", str(hardware.kernel), "-append", KERNEL),
        *("-serial", f"file:{console}"),
        *("-drive", f"if=none,id=root,format=qcow2,file={disk}"),
        *("-device", "nvme,drive=root,serial=root"),
        *("-drive", f"if=none,id=cargo,format=raw,readonly=on,file={hardware.cargo}"),
        *("-device", "virtio-blk-pci,drive=cargo"),
        *("-netdev", ",".join(["user", "id=lan", "restrict=off", *forwards])),
        *("-device", "virtio-net-pci,netdev=lan"),
        *("-device", "virtio-serial-pci", "-chardev", f"socket,id=orders,fd={orders}"),
        *("-device", "virtserialport,chardev=orders,name=orders"),
        *("-device", "virtio-rng-pci"),
    ]
