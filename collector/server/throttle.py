"""A brief limit on how often one address may be wrong."""

from __future__ import annotations

import ipaddress
import time
from collections import OrderedDict
from collections.abc import Callable

_ADDRESSES_MOST = 4096


class Throttle:
    """``most`` failures in each window of ``seconds`` for an address; then it waits.

    Those that succeed are never counted. An IPv6 caller is its network of 64 bits.
    """

    def __init__(
        self,
        most: int = 10,
        seconds: float = 60.0,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._most = most
        self._seconds = seconds
        self._clock = clock
        self._failures: OrderedDict[str, tuple[float, int]] = OrderedDict()

    def wait_seconds(self, address: str) -> float:
        """How long ``address`` has to wait; 0 for not at all."""
        begun, count = self._failures.get(_network(address), (0.0, 0))
        left = begun + self._seconds - self._clock()
        return left if count >= self._most and left > 0 else 0.0

    def failed(self, address: str) -> int:
        """Count a failure; how many there are in this window."""
        key = _network(address)
        begun, count = self._failures.pop(key, (self._clock(), 0))
        if self._clock() >= begun + self._seconds:
            begun, count = self._clock(), 0
        self._failures[key] = (begun, count + 1)
        while len(self._failures) > _ADDRESSES_MOST:
            self._failures.popitem(last=False)
        return count + 1


def _network(address: str) -> str:
    try:
        parsed = ipaddress.ip_address(address)
    except ValueError:
        return address
    if parsed.version == 4:
        return address
    return str(ipaddress.ip_network((address, 64), strict=False))
