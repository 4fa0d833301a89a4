"""What one system is to another by their names: another distribution, or another release.

A result has of ``os-release`` the ``PRETTY_NAME``: ``Debian GNU/Linux 13 (trixie)``. Its first word
stands for ``ID``, and its first number for ``VERSION_ID``. Two distributions whose names begin
alike are taken for one: less is claimed then, not more.
"""

from __future__ import annotations

import re
from dataclasses import dataclass

_RELEASE = re.compile(r"\d+(?:\.\d+)*")


@dataclass(frozen=True, slots=True)
class Kinship:
    """The system inside an instance beside its host's, each by its name."""

    inside: str
    outside: str

    @property
    def differs(self) -> bool:
        """Whether it is another system at all."""
        return _parts(self.inside) != _parts(self.outside)

    @property
    def told(self) -> str:
        """Both, and which of the two it is."""
        return f"{self.inside} inside, {self.outside} outside: {self._relation}"

    @property
    def _relation(self) -> str:
        if not self.differs:
            return "the host's own release"
        if _parts(self.inside)[0] == _parts(self.outside)[0]:
            return "another release of the host's distribution, not another distribution"
        return "another distribution"


def _parts(name: str) -> tuple[str, str]:
    """Distribution and release; the release is empty where no number is told."""
    release = _RELEASE.search(name)
    return name.strip().partition(" ")[0].lower(), release[0] if release else ""
