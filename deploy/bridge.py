"""Linux bridges, as far as an engine leaves one behind (netdevice(7), linux/sockios.h)."""

from __future__ import annotations

import fcntl
import socket
import struct
from pathlib import Path

NAME = "docker0"

SIOCSIFFLAGS = 0x8914
SIOCBRDELBR = 0x89A1
NAME_BYTES = 16
REQUEST_BYTES = 40


def exists(name: str) -> bool:
    """Whether there is a network interface of this name."""
    return Path("/sys/class/net", name).exists()


def remove(name: str) -> None:
    """Remove a bridge if it is there and nothing is plugged into it.

    Raises ``OSError`` without the right to.
    """
    if not exists(name) or any(Path("/sys/class/net", name, "brif").iterdir()):
        return
    padded = name.encode().ljust(NAME_BYTES, b"\0")
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as control:
        down = padded + struct.pack("h", 0)
        fcntl.ioctl(control, SIOCSIFFLAGS, down.ljust(REQUEST_BYTES, b"\0"))
        fcntl.ioctl(control, SIOCBRDELBR, padded)
