"""An address to listen on: an IP address and a port, or a unix socket."""

from __future__ import annotations

import ipaddress
from dataclasses import dataclass

_LAST_PORT = 65535
_UNIX = "unix:"


@dataclass(frozen=True, slots=True)
class Address:
    """``host`` and ``port``, where port 0 means any; or ``path``, a unix socket's."""

    host: str
    port: int
    path: str = ""

    def __str__(self) -> str:
        if self.path:
            return f"{_UNIX}{self.path}"
        return f"[{self.host}]:{self.port}" if ":" in self.host else f"{self.host}:{self.port}"

    @property
    def is_local(self) -> bool:
        """Whether only this host reaches it."""
        return bool(self.path) or ipaddress.ip_address(self.host).is_loopback

    @property
    def is_any(self) -> bool:
        """Whether it stands for every address of the host."""
        return not self.path and ipaddress.ip_address(self.host).is_unspecified


def address(value: str) -> Address:
    """Parse ``HOST:PORT`` or ``unix:PATH``. Raises ``ValueError``."""
    if value.startswith(_UNIX):
        path = value.removeprefix(_UNIX)
        if not path:
            raise ValueError("needs a path after unix:")
        return Address("", 0, path)
    host, colon, port = value.rpartition(":")
    if not colon or not port.isascii() or not port.isdigit() or int(port) > _LAST_PORT:
        raise ValueError(f"is not HOST:PORT with a port from 0 to {_LAST_PORT}")
    host = host.removeprefix("[").removesuffix("]")
    host = "127.0.0.1" if host == "localhost" else host
    try:
        ipaddress.ip_address(host)
    except ValueError as error:
        raise ValueError("needs an IP address before the colon") from error
    return Address(host, int(port))
