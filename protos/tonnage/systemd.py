"""What systemd is told by a service of ``Type=notify``: sd_notify(3)."""

from __future__ import annotations

import os
import socket
from contextlib import suppress


def report_ready() -> None:
    """Say that this process serves now, where it was started by who wants to know.

    Whoever started it finds out by its own deadline that it was not told; that is no
    reason for a process that serves to end. Children do not inherit the address.
    """
    place = os.environ.pop("NOTIFY_SOCKET", "")
    if not place:
        return
    abstract = place.startswith("@")  # is how systemd writes a name that no file has
    with suppress(OSError), socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as line:
        line.connect(f"\0{place[1:]}" if abstract else place)
        line.send(b"READY=1")
