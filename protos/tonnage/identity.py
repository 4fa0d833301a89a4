"""Who is at the other end of a connection: role and name, as its certificate says.

A certificate of Tonnage carries one URI, ``tonnage:ROLE/NAME``, and one DNS name made
of the same two, ``NAME.ROLE.tonnage.internal``. Peers are verified by that DNS name and
not by the address they were dialled at, so that a host may move.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from enum import StrEnum

NAME_PATTERN = r"^[A-Za-z0-9][A-Za-z0-9._-]{0,62}$"
DOMAIN = "tonnage.internal"
METRICS_NAME = f"metrics.{DOMAIN}"
"""What every server's certificate carries besides: Prometheus dials addresses it is told,
and can verify one name for all of them. It is no ``NAME.ROLE`` of anybody."""


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

    @classmethod
    def from_uri(cls, uri: str, serial: str = "") -> Identity:
        """The identity of a certificate's URI. Raises ``ValueError``."""
        role, found, name = uri.removeprefix("tonnage:").partition("/")
        if not uri.startswith("tonnage:") or not found or not re.fullmatch(NAME_PATTERN, name):
            raise ValueError(f"{uri!r} is not tonnage:ROLE/NAME")
        return cls(Role(role), name, serial)

    @property
    def uri(self) -> str:
        """The URI that the certificate carries."""
        return f"tonnage:{self.role}/{self.name}"

    @property
    def dns_name(self) -> str:
        """The DNS name that peers verify."""
        return f"{self.name}.{self.role}.{DOMAIN}".lower()
