"""Test hosts that share this machine's kernel: network namespaces joined by a switch.

Each host has a namespace with one interface, ``eth0``, and an address of its own;
the other end of its cable is a port of a bridge in one more namespace. Nothing is
added to the machine's own network. A host is cut off by taking its port down: its
packets are lost without an answer, as when a cable is pulled.
"""

from __future__ import annotations

import os
import subprocess
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass

SUBNET = "10.213.7"
_FIRST_ADDRESS = 10
_PREFIX_LENGTH = 24


class NamespaceFailed(Exception):
    """The kernel or ``ip`` refused; the message holds the command and its last words."""


@dataclass(frozen=True, slots=True)
class Host:
    """One namespace. ``address`` is its own on ``eth0``."""

    name: str
    namespace: str
    address: str
    switch: str

    def command(self, *words: str) -> tuple[str, ...]:
        """``words`` as a command that runs on this host's network."""
        # Not ip netns exec: that hides the machine's /sys, and with it every cgroup.
        return ("nsenter", f"--net=/run/netns/{self.namespace}", *words)

    def cut(self) -> None:
        """Pull its cable. Idempotent."""
        _ip("-n", self.switch, "link", "set", "dev", self.name, "down")

    def mend(self) -> None:
        """Plug its cable in again. Idempotent."""
        _ip("-n", self.switch, "link", "set", "dev", self.name, "up")


@contextmanager
def switched_hosts(names: Sequence[str]) -> Iterator[dict[str, Host]]:
    """Hosts of these names (at most eleven characters each) until the end of the block.

    Raises ``NamespaceFailed``; whatever was made by then is taken away again.
    """
    tag = f"tng{os.getpid():x}"
    switch = f"{tag}-switch"
    with ExitStack() as made:
        _namespace(switch, made)
        _ip("-n", switch, "link", "add", "br0", "type", "bridge")
        _ip("-n", switch, "link", "set", "br0", "up")
        hosts = {}
        for number, name in enumerate(names, _FIRST_ADDRESS):
            host = Host(name, f"{tag}-{name}", f"{SUBNET}.{number}", switch)
            _namespace(host.namespace, made)
            _cable(host)
            hosts[name] = host
        yield hosts


def _namespace(name: str, made: ExitStack) -> None:
    _ip("netns", "add", name)
    made.callback(_ip, "netns", "delete", name)
    _ip("-n", name, "link", "set", "lo", "up")


def _cable(host: Host) -> None:
    ends = ("type", "veth", "peer", "name", "eth0", "netns", host.namespace)
    _ip("-n", host.switch, "link", "add", "name", host.name, *ends)
    _ip("-n", host.switch, "link", "set", "dev", host.name, "master", "br0", "up")
    _ip("-n", host.namespace, "address", "add", f"{host.address}/{_PREFIX_LENGTH}", "dev", "eth0")
    _ip("-n", host.namespace, "link", "set", "eth0", "up")


def _ip(*words: str) -> None:
    try:
        done = subprocess.run(["ip", *words], capture_output=True, text=True, check=False)
    except FileNotFoundError as error:
        raise NamespaceFailed("ip is missing: run deploy/bootstrap.sh") from error
    if done.returncode != 0:
        raise NamespaceFailed(f"ip {' '.join(words)}: {done.stderr.strip()}")
