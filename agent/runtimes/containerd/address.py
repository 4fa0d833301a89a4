"""Which containerd: its socket."""

from __future__ import annotations

from pathlib import Path

DEFAULT = Path("/run/containerd/containerd.sock")


def socket_of(configured: str | None) -> Path:
    """The socket's path: as configured (a path, ``unix://`` before it or not), else the default."""
    return Path(configured.removeprefix("unix://")) if configured else DEFAULT
