"""What an agent registers, and what of it is refused. Pure."""

from __future__ import annotations

import re
from dataclasses import dataclass

from collector.errors import InvalidInput, WrongState
from tonnage import OLDEST_PROTOCOL, PROTOCOL, __version__
from tonnage.model import Fingerprint, HostFacts

_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,62}")
_ADDRESS = re.compile(r"unix:.+|(?:\[[0-9A-Fa-f:]+\]|[^\s:/]+):[0-9]{1,5}")
_ADDRESS_MOST = 253
_LABELS_MOST = 64
_LABEL_MOST = 256


@dataclass(frozen=True, slots=True)
class Registration:
    """A host as its agent tells it, and where it is reached."""

    facts: HostFacts
    runtimes: tuple[Fingerprint, ...]
    address: str
    metrics_address: str = ""
    metrics_tls: bool = False
    protocol: int = PROTOCOL


def check(told: Registration) -> None:
    """Raise ``WrongState`` for a protocol that does not fit, ``InvalidInput`` for a name,
    an address or labels that cannot be."""
    check_protocol(told.protocol, told.facts.host, told.facts.agent_version)
    if not _NAME.fullmatch(told.facts.host):
        raise InvalidInput(
            "a host's name has letters, digits, dots, dashes and underscores, at most 63",
            field="facts.host",
            value=told.facts.host[:80],
            remedy="Give the agent another --name.",
        )
    for field, address in (("address", told.address), ("metrics_address", told.metrics_address)):
        _check_address(field, address, needed=field == "address")
    _check_labels(told)


def check_protocol(protocol: int, host: str, agent_version: str) -> None:
    """Raise ``WrongState`` unless an agent's protocol is one that this collector speaks.

    Asked before anything else is read: what another protocol means cannot be known.
    """
    if OLDEST_PROTOCOL <= protocol <= PROTOCOL:
        return
    host, theirs = host[:63], agent_version[:40] or "of an unknown version"
    span = f"{OLDEST_PROTOCOL} to {PROTOCOL}" if OLDEST_PROTOCOL < PROTOCOL else f"{PROTOCOL}"
    older = protocol < OLDEST_PROTOCOL
    remedy = (
        f"Upgrade tonnage-agent on {host}: the collector is {__version__}."
        if older
        else f"Upgrade the collector: the agent on {host} is {theirs}."
    )
    raise WrongState(
        f"agent {theirs} of host {host} speaks protocol {protocol}, collector {__version__}"
        f" speaks {span}",
        field="protocol",
        value=str(protocol),
        remedy=remedy,
    )


def _check_address(field: str, address: str, *, needed: bool) -> None:
    if not address and not needed:
        return
    if not _ADDRESS.fullmatch(address) or len(address) > _ADDRESS_MOST:
        raise InvalidInput(
            "an agent's address is host:port or unix:path",
            field=field,
            value=address[:80],
            remedy="Give the agent another --advertise."
            if needed
            else "Give the agent another --metrics.",
        )


def _check_labels(told: Registration) -> None:
    labels = told.facts.labels
    longest = max((len(text) for pair in labels.items() for text in pair), default=0)
    if len(labels) > _LABELS_MOST or longest > _LABEL_MOST:
        raise InvalidInput(
            f"a host has at most {_LABELS_MOST} labels of at most {_LABEL_MOST} characters",
            field="facts.labels",
            value=f"{len(labels)} labels, the longest text {longest}",
            remedy="Give the agent fewer or shorter labels.",
        )
