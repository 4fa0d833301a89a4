"""A network card whose other side is QEMU itself: user mode, with forwarded ports.

The guest has a fixed address behind it. Outside, each VM has an address of its own on the
host's loopback network, on which the workload's own ports are forwarded: so a workload is
asked under its own port, and no two VMs look for a free one. ``restrict`` keeps the guest
from everything else: QEMU would pass its connections on as the host's own, and programs
that trust loopback would trust the guest.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from ipaddress import IPv4Address

from tonnage.model import HttpHealth, HttpReadiness, Network, Target, Workload

GUEST_ADDRESS = "10.0.2.15/24"
GATEWAY = "10.0.2.2"
# 127.64.0.0/10: four million addresses, far from those that programs listen on.
_FIRST = IPv4Address("127.64.0.0")
_COUNT = 1 << 22


@dataclass(frozen=True, slots=True)
class Card:
    """A VM's network card: the host's address that is the VM's own, and the ports forwarded."""

    address: str
    ports: tuple[int, ...]


def card_of(target: Target, instance_id: str) -> Card | None:
    """The card of one launch; ``None`` where it has no network."""
    if target.network is not Network.USER:
        return None
    return Card(own_address(instance_id), ports_of(target.workload))


def own_address(instance_id: str) -> str:
    """The address of an instance. QEMU does not start where another has it: one launch in
    four million for each VM that lives."""
    number = int.from_bytes(hashlib.sha256(instance_id.encode()).digest()[:4])
    return str(_FIRST + number % (_COUNT - 2) + 1)


def ports_of(workload: Workload) -> tuple[int, ...]:
    """The ports at which a workload is asked."""
    asked = (workload.readiness, workload.health)
    return tuple(sorted({a.port for a in asked if isinstance(a, HttpReadiness | HttpHealth)}))


def network_arguments(card: Card) -> tuple[str, ...]:
    """QEMU's words. Without the card's ROM, the firmware does not try to boot from it."""
    forwards = [f"hostfwd=tcp:{card.address}:{port}-:{port}" for port in card.ports]
    return (
        *("-netdev", ",".join(["user", "id=net", "restrict=on", "ipv6=off", *forwards])),
        *("-device", "virtio-net-pci,netdev=net,romfile="),
    )
