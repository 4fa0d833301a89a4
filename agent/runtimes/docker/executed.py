"""The programs that an engine executes for each container, as it says itself."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from agent.runtimes.docker.profile import EngineProfile

# Docker 23 and newer, runtimeType: containerd's name of a shim, io.containerd.NAME.VERSION.
_TYPE = "io.containerd."


def executed(profile: EngineProfile, info: Mapping[str, Any]) -> tuple[str, str]:
    """What stands by each container, and the low-level runtime: a path where the engine
    names a file that is there, else the name, to be looked for on the PATH.

    ``info`` is what the engine says of itself.
    """
    name = profile.low_level or str(info.get("DefaultRuntime") or "runc")
    registered = (info.get("Runtimes") or {}).get(name) or {}
    kind, version = _type(str(registered.get("runtimeType") or name))
    beside = f"containerd-shim-{kind}-{version}" if version else profile.beside
    path = Path(str(registered.get("path") or kind or name))
    return beside, str(path) if path.is_absolute() and path.is_file() else path.name


def _type(told: str) -> tuple[str, str]:
    """Name and version in a type; empty if it is none."""
    kind, _, version = told.removeprefix(_TYPE).partition(".")
    return (kind, version) if told.startswith(_TYPE) else ("", "")
