"""A VM's network card: an address of its own outside, its workload's ports, nothing else."""

from __future__ import annotations

from dataclasses import replace
from ipaddress import IPv4Address, IPv4Network

import pytest

from agent.errors import InvalidInput
from agent.runtimes.base import Capabilities
from agent.runtimes.demands import check_target
from agent.runtimes.qemu.network import card_of, network_arguments, own_address
from tonnage.model import (
    HttpHealth,
    HttpReadiness,
    LogReadiness,
    Mode,
    Network,
    Target,
    TcpReadiness,
    Workload,
)

ASKED = Workload("w", "i:1", HttpReadiness(8080, "/"), health=HttpHealth(9090, "/h"))
TARGET = Target("t", "qemu-microvm", "direct", Mode.WARM, Network.USER, ASKED, 128 << 20)
OFFERS = Capabilities(
    variants=("direct",), networks=(Network.NONE, Network.USER), readiness=("log", "http")
)


def test_each_vm_has_a_loopback_address_of_its_own() -> None:
    addresses = {own_address(f"run-{number}") for number in range(2000)}
    assert len(addresses) > 1990
    assert all(IPv4Address(a) in IPv4Network("127.64.0.0/10") for a in addresses)
    assert own_address("run-1") == own_address("run-1")


def test_the_workloads_ports_are_forwarded_and_nothing_goes_out() -> None:
    card = card_of(TARGET, "vm-1")
    assert card is not None
    words = network_arguments(card)
    assert words[1] == (
        "user,id=net,restrict=on,ipv6=off,"
        f"hostfwd=tcp:{card.address}:8080-:8080,hostfwd=tcp:{card.address}:9090-:9090"
    )


def test_without_a_network_there_is_no_card() -> None:
    assert card_of(replace(TARGET, network=Network.NONE), "vm-1") is None


def test_http_is_asked_over_a_network() -> None:
    check_target(TARGET, OFFERS)
    with pytest.raises(InvalidInput) as refused:
        check_target(replace(TARGET, network=Network.NONE), OFFERS)
    assert refused.value.problem.field == "workload.readiness"
    assert "network: user" in refused.value.problem.remedy


def test_tcp_is_refused_with_the_reason() -> None:
    workload = replace(ASKED, readiness=TcpReadiness(80))
    with pytest.raises(InvalidInput, match="forwarder") as refused:
        check_target(replace(TARGET, workload=workload), OFFERS)
    assert "Use http" in refused.value.problem.remedy


def test_what_prints_its_line_may_have_a_network() -> None:
    check_target(replace(TARGET, workload=replace(ASKED, readiness=LogReadiness("up"))), OFFERS)
