"""Addresses to listen on and to dial: an IP address and a port, or a unix socket."""

from __future__ import annotations

import ipaddress
import re
from dataclasses import dataclass
from pathlib import Path

_UNIX = "unix:"
_LONGEST_UNIX_PATH = 107  # sun_path of Linux, less its final zero
# A name or an address; of a length that DNS knows, with no empty label.
_HOST = re.compile(r"(?!.*\.\.)[A-Za-z0-9:_][A-Za-z0-9._:%-]{0,252}")


@dataclass(frozen=True, slots=True)
class Address:
    """An IP address and a port; port 0 means any."""

    host: str
    port: int

    def __str__(self) -> str:
        return f"[{self.host}]:{self.port}" if ":" in self.host else f"{self.host}:{self.port}"

    @property
    def private(self) -> bool:
        """Whether only this host reaches it."""
        return ipaddress.ip_address(self.host).is_loopback

    @property
    def wildcard(self) -> bool:
        """Whether it stands for every address of this host."""
        return ipaddress.ip_address(self.host).is_unspecified

    def at(self, host: str) -> Address:
        """The same, with ``host`` in place of a wildcard."""
        return Address(host, self.port) if self.wildcard else self

    def another(self, flag: str) -> str:
        """The way out where this cannot be listened on; ``flag`` names another."""
        return (
            f"Choose another port with {flag}, or 0 for any; "
            f"ss -ltnp 'sport = :{self.port}' shows who holds port {self.port}."
        )


@dataclass(frozen=True, slots=True)
class UnixSocket:
    """A socket in the file system."""

    path: Path

    def __str__(self) -> str:
        return f"{_UNIX}{self.path}"

    @property
    def private(self) -> bool:
        """Only this host reaches it."""
        return True

    @property
    def wildcard(self) -> bool:
        """It stands for itself alone."""
        return False

    def at(self, _host: str) -> UnixSocket:
        """The same."""
        return self

    def another(self, flag: str) -> str:
        """The way out where this cannot be listened on; ``flag`` names another."""
        return f"Choose another path with {flag}; ss -lxp 'src = {self.path}' shows who holds it."


Place = Address | UnixSocket


def ip_address(text: str) -> Address:
    """Parse ``IP:PORT``. Raises ``ValueError``."""
    host, _, port = text.rpartition(":")
    host = host.removeprefix("[").removesuffix("]")
    if not host or not port.isascii() or not port.isdigit() or int(port) > 65535:
        raise ValueError("must be HOST:PORT with a port from 0 to 65535")
    host = "127.0.0.1" if host == "localhost" else host
    try:
        ipaddress.ip_address(host)
    except ValueError:
        raise ValueError("must be an IP address and a port, or localhost and a port") from None
    return Address(host, int(port))


def place(text: str) -> Place:
    """Parse ``IP:PORT`` or ``unix:/PATH``. Raises ``ValueError``."""
    if not is_unix(text):
        return ip_address(text)
    path = Path(text.removeprefix(_UNIX))
    if not path.is_absolute() or len(str(path).encode()) > _LONGEST_UNIX_PATH:
        raise ValueError(f"must be unix:/PATH, of at most {_LONGEST_UNIX_PATH} bytes")
    return UnixSocket(path)


def is_unix(text: str) -> bool:
    """Whether an address names a unix socket."""
    return text.startswith(_UNIX)


def host_and_port(text: str) -> tuple[str, int]:
    """Parse ``HOST:PORT`` that someone dials, by name or number. Raises ``ValueError``."""
    host, _, port = text.rpartition(":")
    host = host.removeprefix("[").removesuffix("]")
    number = int(port) if port.isascii() and port.isdigit() else 0
    if not _HOST.fullmatch(host) or not 0 < number < 65536:
        raise ValueError("must be HOST:PORT with a port from 1 to 65535")
    return host, number
