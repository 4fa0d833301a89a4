"""Pressure-stall information: the share of time in which somebody had to wait."""

from __future__ import annotations

from agent.probes.base import NoData, Reading, Roots
from agent.probes.read import text

RESOURCES = ("cpu", "memory", "io")


class Pressure:
    """PSI ``some`` averages over 10 s in percent, from /proc/pressure (since 4.20).

    The kernel renews the averages every 2 s; a shorter look shows the same figure.
    """

    name = "pressure"

    def __init__(self, roots: Roots) -> None:
        self._folder = roots.proc / "pressure"

    def read(self) -> Reading | NoData:
        """Read now; a resource the kernel does not offer is left out."""
        read = {resource: self._some_avg10(resource) for resource in RESOURCES}
        values = {f"{name}_some_avg10": value for name, value in read.items() if value is not None}
        if not values:
            return NoData(f"{self._folder} cannot be read: the kernel has no PSI, or psi=0")
        return Reading(values)

    def _some_avg10(self, resource: str) -> float | None:
        content = text(self._folder / resource)
        if isinstance(content, NoData):
            return None
        for line in content.splitlines():
            pairs = line.split()
            if pairs[:1] == ["some"]:
                return _finite(
                    dict(pair.partition("=")[::2] for pair in pairs[1:]).get("avg10", "")
                )
        return None


def _finite(text: str) -> float | None:
    return float(text) if text.replace(".", "", 1).isdecimal() else None
