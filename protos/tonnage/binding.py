"""Where a gRPC server listens: taken from nobody, and a unix socket for few."""

from __future__ import annotations

import os
import socket
from collections.abc import Iterator
from contextlib import contextmanager, nullcontext
from pathlib import Path

from grpc import aio

from tonnage.address import Address, Place, UnixSocket
from tonnage.tls import TlsFiles, server_credentials

# Who may write to the socket may do everything: its owner and group alone.
_UMASK = 0o117


class NotBound(Exception):
    """The address cannot be had; the message is why, in a few words."""


def bind(server: aio.Server, at: Place, files: TlsFiles | None) -> Place:
    """Take the address for ``server``, which answers there once it is started.

    With mutual TLS where ``files`` are given. Returns the address with its real port.
    Raises ``NotBound``.
    """
    try:
        with _private(at.path) if isinstance(at, UnixSocket) else nullcontext():
            if files is None:
                port = server.add_insecure_port(str(at))
            else:
                port = server.add_secure_port(str(at), server_credentials(files))
    except RuntimeError as error:
        raise NotBound("it is in use or not ours") from error
    return Address(at.host, port) if isinstance(at, Address) else at


@contextmanager
def _private(path: Path) -> Iterator[None]:
    """Sees to it that the socket is for its owner and group from the first moment, and not
    another's: gRPC would remove the file and listen in its place."""
    with socket.socket(socket.AF_UNIX) as probe:
        if probe.connect_ex(str(path)) == 0:
            raise NotBound("another program answers there")
    before = os.umask(_UMASK)
    try:
        yield
    finally:
        os.umask(before)
