"""QMP: QEMU's own control channel, on a socket that it inherited.

The greeting is the VMM's first answer and comes by itself. Nothing else is said
while a guest boots: the handshake waits until there is something to order.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import socket

from qemu.qmp import QMPClient, QMPError

# A VMM that goes away while being told to is no error of ours: see ``quit``.
logging.getLogger("qemu.qmp").setLevel(logging.CRITICAL)


async def greeted(connection: socket.socket) -> bool:
    """Wait for the VMM's first byte, which stays unread; false if it closes instead.

    The owner may close ``connection`` meanwhile: a duplicate is waited on.
    """
    loop = asyncio.get_running_loop()
    readable = asyncio.Event()
    with connection.dup() as own:
        loop.add_reader(own, readable.set)
        try:
            await readable.wait()
        finally:
            loop.remove_reader(own)
        try:
            return bool(own.recv(1, socket.MSG_PEEK | socket.MSG_DONTWAIT))
        except OSError:
            return False


def order_quit(connection: socket.socket) -> None:
    """Tell QEMU to end now, on a connection whose greeting was answered before."""
    with contextlib.suppress(OSError):
        connection.send(b'{"execute": "quit"}\n')


async def quit_vmm(connection: socket.socket) -> None:
    """Tell QEMU to end now. It may be gone already; the caller watches for its end.

    ``connection`` stays its owner's: a duplicate is used, and closed.
    """
    client = QMPClient()
    try:
        await client.connect(connection.dup())
        await client.execute("quit")
    except (QMPError, OSError, EOFError):
        pass  # it ended meanwhile, which was the purpose
    finally:
        # After "quit" the reader meets the end of the stream and says so here.
        with contextlib.suppress(QMPError, OSError, EOFError):
            await client.disconnect()
