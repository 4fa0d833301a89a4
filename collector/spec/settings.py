"""What holds for the whole run."""

from __future__ import annotations

from typing import Annotated

from pydantic import Field, StringConstraints

from collector.spec.parts import Name, Part
from collector.spec.selection import HostSelection, NamesOrSelection
from collector.spec.units import Deadline, Percent, RunLimit


class RunSettings(Part):
    """What holds for the whole run."""

    name: Name
    """The experiment's name: small letters, digits, dots and dashes."""
    description: Annotated[str, StringConstraints(max_length=4096)] = ""
    """What it is for, for its readers."""
    hosts: Annotated[HostSelection, NamesOrSelection()] = HostSelection()
    """Hosts to run on: a list of names, or conditions; absent: every healthy host."""
    seed: int | None = Field(default=None, strict=True, ge=0, lt=2**63)
    """Seeds every random choice; absent: the collector draws one and keeps it."""
    noisy_above: Percent = 0.2
    """A trial is flagged noisy when foreign load or steal took more of the host's CPU."""
    time_limit: RunLimit = 3600.0
    """The run stops after this time; the agent's own guard may be tighter."""
    ready_timeout: Deadline = 60.0
    """A launch that is not ready after this time has timed out."""
