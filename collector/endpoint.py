"""Where a collector is, and the folder of what a caller shows it. Light: no gRPC here."""

from __future__ import annotations

import ipaddress
from dataclasses import dataclass
from pathlib import Path

PKI_DIR = Path("/etc/tonnage/pki")
OPERATOR = "operator"


@dataclass(frozen=True, slots=True)
class Endpoint:
    """A collector's address, ``host:port`` or ``unix:/path``, and a folder with
    ``ca.pem``, ``NAME.pem`` and ``NAME.key``; without one the connection is plain."""

    address: str
    tls_dir: Path | None = None

    def __str__(self) -> str:
        return self.address


def is_local(address: str) -> bool:
    """Whether only this host can reach ``address``: a unix socket, or loopback."""
    if address.startswith("unix:"):
        return True
    host = address.rpartition(":")[0].removeprefix("[").removesuffix("]")
    try:
        return host == "localhost" or ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False


def usual_tls_dir(address: str, pki: Path = PKI_DIR) -> Path | None:
    """The folder that is used where none was named: the collector host's own, if it has
    an operator's certificate that may be read and the collector is elsewhere."""
    if is_local(address):
        return None
    try:
        (pki / f"{OPERATOR}.key").open("rb").close()
    except OSError:
        return None
    return pki
