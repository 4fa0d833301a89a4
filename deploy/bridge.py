"""Linux bridges, as far as a private engine needs one (netdevice(7), linux/sockios.h)."""

from __future__ import annotations

import fcntl
import socket
import struct
from pathlib import Path

NAME = "docker0"

SIOCSIFFLAGS = 0x8914
SIOCSIFADDR = 0x8916
SIOCSIFNETMASK = 0x891C
SIOCBRADDBR = 0x89A0
SIOCBRDELBR = 0x89A1
IFF_UP = 1
NAME_BYTES = 16
REQUEST_BYTES = 40


def exists(name: str) -> bool:
    """Whether there is a network interface of this name."""
    return Path("/sys/class/net", name).exists()


def create(name: str, address: str, netmask: str) -> None:
    """Make a bridge with this address of the host, and let it carry packets.

    Raises ``OSError`` without the right to.
    """
    with _control() as control:
        fcntl.ioctl(control, SIOCBRADDBR, _padded(name))
        for request, value in ((SIOCSIFADDR, address), (SIOCSIFNETMASK, netmask)):
            place = struct.pack("=HH4s", socket.AF_INET, 0, socket.inet_aton(value))
            fcntl.ioctl(control, request, _request(name, place))
        fcntl.ioctl(control, SIOCSIFFLAGS, _request(name, struct.pack("h", IFF_UP)))


def remove(name: str) -> None:
    """Remove a bridge if it is there and nothing is plugged into it.

    Raises ``OSError`` without the right to.
    """
    if not exists(name) or any(Path("/sys/class/net", name, "brif").iterdir()):
        return
    with _control() as control:
        fcntl.ioctl(control, SIOCSIFFLAGS, _request(name, struct.pack("h", 0)))
        fcntl.ioctl(control, SIOCBRDELBR, _padded(name))


def _control() -> socket.socket:
    return socket.socket(socket.AF_INET, socket.SOCK_DGRAM)


def _padded(name: str) -> bytes:
    return name.encode().ljust(NAME_BYTES, b"\0")


def _request(name: str, value: bytes) -> bytes:
    """A ``struct ifreq``."""
    return (_padded(name) + value).ljust(REQUEST_BYTES, b"\0")
