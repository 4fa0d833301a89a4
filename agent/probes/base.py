"""What a probe is: a bounded, synchronous reader of the kernel's own figures.

A probe never raises for what a kernel may lack: that is ``NoData`` with a
reason, apart from failure. The roots of /proc and /sys are parameters, so a
fixture tree can stand in for a host. Reading many processes takes
milliseconds: callers read in a thread.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from agent.process import ProcessView


@dataclass(frozen=True, slots=True)
class Roots:
    """Where the kernel shows itself."""

    proc: Path = Path("/proc")
    sys: Path = Path("/sys")


@dataclass(frozen=True, slots=True)
class Reading:
    """What a probe read, by name. Bytes, nanoseconds or percent, as the names say."""

    values: dict[str, float]


@dataclass(frozen=True, slots=True)
class NoData:
    """This host does not offer the figure; ``reason`` says why."""

    reason: str


class HostProbe(Protocol):
    """Reads the host."""

    @property
    def name(self) -> str:
        """Its name as a metric label."""

    def read(self) -> Reading | NoData:
        """Read now."""


class InstanceProbe(Protocol):
    """Reads instances; the values are sums over all of them."""

    @property
    def name(self) -> str:
        """Its name as a metric label."""

    def read(self, instances: Sequence[ProcessView]) -> Reading | NoData:
        """Read now. A process that ended meanwhile counts as nothing."""
