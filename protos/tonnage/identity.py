"""Who is at the other end of a connection: role and name, as its certificate says.

A certificate of Tonnage carries one URI, ``tonnage:ROLE/NAME``, and one DNS name made
of the same two, ``NAME.ROLE.tonnage.internal``. Peers are verified by that DNS name and
not by the address they were dialled at, so that a host may move.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum

DOMAIN = "tonnage.internal"


class Role(StrEnum):
    """What a certificate entitles to."""

    AGENT = "agent"
    COLLECTOR = "collector"
    OPERATOR = "operator"
    VIEWER = "viewer"


@dataclass(frozen=True, slots=True)
class Identity:
    """A role, a name in it, and the certificate's serial in hexadecimal, lower case."""

    role: Role
    name: str
    serial: str = ""

    @property
    def uri(self) -> str:
        """The URI that the certificate carries."""
        return f"tonnage:{self.role}/{self.name}"

    @property
    def dns_name(self) -> str:
        """The DNS name that peers verify."""
        return f"{self.name}.{self.role}.{DOMAIN}".lower()
