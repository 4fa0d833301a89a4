"""What only the engine knows of a container, read from its answers. Pure."""

from __future__ import annotations

import signal
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from agent.runtimes.docker.engine import Inspection

_KILLED = 128 + signal.SIGKILL


@dataclass(frozen=True, slots=True)
class Details:
    """Asked for outside timed windows. ``address`` is its own, ``None`` without a network."""

    init_pid: int
    address: str | None
    paths: tuple[Path, ...]

    @classmethod
    def of(cls, inspection: Inspection) -> Details:
        """Read them from the engine's answer."""
        networks = (inspection.get("NetworkSettings") or {}).get("Networks") or {}
        addresses = [network.get("IPAddress") for network in networks.values()]
        return cls(
            init_pid=inspection["State"].get("Pid") or 0,
            address=next((address for address in addresses if address), None),
            paths=tuple(_own_paths(inspection)),
        )


def _own_paths(inspection: Inspection) -> Iterator[Path]:
    """Its own layers (overlay2's upper, work and init) and the engine's folder of it."""
    layers = (inspection.get("GraphDriver") or {}).get("Data") or {}
    for key in ("UpperDir", "WorkDir"):
        if layers.get(key):
            yield Path(layers[key])
    init_layer = (layers.get("LowerDir") or "").split(":")[0]
    if init_layer.endswith("-init/diff"):
        yield Path(init_layer)
    if inspection.get("HostnamePath"):
        yield Path(inspection["HostnamePath"]).parent


def ending(inspection: Inspection | None) -> str:
    """How a container ended, in words."""
    if inspection is None:
        return ""
    state = inspection["State"]
    code = state.get("ExitCode")
    parts = [f"with exit code {code}"]
    if state.get("OOMKilled"):
        parts.append("killed for want of memory")
    elif code == _KILLED:  # the engine's flag comes late or never (20.10)
        parts.append("killed, perhaps for want of memory")
    if state.get("Error"):
        parts.append(str(state["Error"]))
    return ", ".join(parts)
