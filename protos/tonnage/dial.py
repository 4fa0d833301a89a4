"""Channels to a peer that follow a certificate's renewal.

gRPC's client credentials are fixed when a channel is made. A ``Dial`` therefore makes a
fresh channel once the files changed. The channel before lives on until the change after
that, so that its calls have the life of a whole certificate to end in.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, TypeVar

import grpc

from tonnage.identity import Identity
from tonnage.tls import Stamp, TlsError, TlsFiles, client_credentials, peer_options

S = TypeVar("S")
_KEPT = 2


class Dial:
    """A way to one peer, with mutual TLS where ``files`` are given, plain where not.

    ``address`` is ``host:port`` or ``unix:/path``; ``expected`` is whom the peer must
    prove to be. Belongs to one event loop.
    """

    def __init__(
        self,
        address: str,
        expected: Identity,
        files: TlsFiles | None = None,
        options: Sequence[tuple[str, Any]] = (),
    ) -> None:
        self.address = address
        self._files = files
        self._options = [*options, *(peer_options(expected) if files else [])]
        self._stamp: Stamp = ()
        self._channels: list[grpc.aio.Channel] = []
        self._made: tuple[Any, grpc.aio.Channel, Any] | None = None

    async def channel(self) -> grpc.aio.Channel:
        """The channel of the files as they are now, or, while they cannot be used, the
        one before; raises ``tonnage.tls.TlsError`` where there is none."""
        try:
            self._renew()
        except TlsError:
            if not self._channels:
                raise
        while len(self._channels) > _KEPT:
            await self._channels.pop(0).close()
        return self._channels[-1]

    async def stub(self, make: Callable[[grpc.aio.Channel], S]) -> S:
        """``make`` of that channel, a generated stub: making one has its price, so it is
        kept for as long as the channel is."""
        channel = await self.channel()
        if self._made is None or self._made[:2] != (make, channel):
            self._made = (make, channel, make(channel))
        made: S = self._made[2]
        return made

    async def close(self) -> None:
        """Close the channels; their calls are cancelled."""
        while self._channels:
            await self._channels.pop().close()

    def _renew(self) -> None:
        stamp = self._files.stamp() if self._files else ()
        if not self._channels or stamp != self._stamp:
            self._channels.append(self._open())
            self._stamp = stamp

    def _open(self) -> grpc.aio.Channel:
        if self._files is None:
            return grpc.aio.insecure_channel(self.address, self._options)
        credentials = client_credentials(self._files)
        return grpc.aio.secure_channel(self.address, credentials, self._options)
