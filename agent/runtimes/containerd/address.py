"""Which containerd: its socket."""

from __future__ import annotations

import os
from pathlib import Path

VARIABLE = "CONTAINERD_ADDRESS"
"""The variable that containerd's own ``ctr`` heeds."""
DEFAULT = Path("/run/containerd/containerd.sock")


def socket_of(configured: str | None) -> Path:
    """The socket's path: as configured, else the environment's, else the default.

    A path, with ``unix://`` before it or not.
    """
    named = configured or os.environ.get(VARIABLE)
    return Path(named.removeprefix("unix://")) if named else DEFAULT
