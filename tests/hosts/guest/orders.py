"""Orders to a guest over a virtio-serial port: they need neither network nor login."""

from __future__ import annotations

import base64
import socket
import time
from dataclasses import dataclass

# Above the guest's own deadline for an order: how long it may take to say so.
MARGIN_SECONDS = 30.0
_CHUNK_BYTES = 1 << 16


class GuestSilent(Exception):
    """The guest said nothing in time, or its machine ended."""


class OrderFailed(Exception):
    """An order ended with another code than 0; the text has the order and what it wrote."""

    def __init__(self, script: str, done: Done) -> None:
        said = "\n".join(part.strip() for part in (done.output, done.errors) if part.strip())
        super().__init__(f"ended with {done.code} after {done.seconds:.1f} s: {script}\n{said}")
        self.done = done


class GuestRestarted(Exception):
    """The guest booted while it was to carry out an order; the text is its new boot id."""


@dataclass(frozen=True, slots=True)
class Done:
    """What came of an order; ``code`` is 124 or 137 where it was over its time."""

    code: int
    output: str
    errors: str
    seconds: float


class Orders:
    """The machine's end of the line to ``rootfs/usr/local/lib/tonnage-guest/orders``."""

    def __init__(self, line: socket.socket) -> None:
        self._line = line
        self._received = b""
        self._number = 0

    def close(self) -> None:
        """Hang up."""
        self._line.close()

    def booted(self, seconds: float, before: str = "") -> str:
        """Wait for a guest whose boot id is not ``before``; return its boot id.

        Raises ``GuestSilent``.
        """
        deadline = time.monotonic() + seconds
        while True:
            words = self._next(deadline)
            if words[0] == "boot" and words[1] != before:
                return words[1]

    def send(self, script: str, seconds: float) -> int:
        """Order a bash script; return the order's number, without waiting for its end."""
        self._number += 1
        encoded = base64.b64encode(script.encode()).decode()
        self._line.settimeout(MARGIN_SECONDS)
        self._line.sendall(f"{self._number} {seconds:g} {encoded}\n".encode())
        return self._number

    def run(self, script: str, seconds: float) -> Done:
        """Have a bash script carried out by root, with a deadline in the guest.

        Raises ``GuestSilent`` and ``GuestRestarted``.
        """
        began = time.monotonic()
        number = self.send(script, seconds)
        while True:
            words = self._next(began + seconds + MARGIN_SECONDS)
            if words[0] == "boot":
                raise GuestRestarted(words[1])
            if words[0] == str(number):
                took = time.monotonic() - began
                return Done(int(words[1]), _text(words[2]), _text(words[3]), took)

    def _next(self, deadline: float) -> list[str]:
        while b"\n" not in self._received:
            left = deadline - time.monotonic()
            if left <= 0:
                raise GuestSilent("the guest did not answer in time")
            self._line.settimeout(left)
            try:
                chunk = self._line.recv(_CHUNK_BYTES)
            except TimeoutError:
                continue
            if not chunk:
                raise GuestSilent("the guest's machine ended")
            self._received += chunk
        first, _, self._received = self._received.partition(b"\n")
        return first.decode().split(" ")


def _text(encoded: str) -> str:
    return base64.b64decode(encoded.removeprefix(".")).decode(errors="replace")
