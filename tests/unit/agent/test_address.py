"""Where an agent says it is reached."""

from __future__ import annotations

import pytest

from agent.address import Addresses
from tonnage.address import Address, ip_address, place

LOOPBACK = Address("127.0.0.1", 7081)
EVERYWHERE, METRICS = ip_address("0.0.0.0:7080"), ip_address("0.0.0.0:7081")


def test_what_is_listened_on_is_told_as_it_is() -> None:
    at = Addresses(Address("10.0.0.5", 7080), LOOPBACK)
    assert at.towards("nowhere.invalid:1") == ("10.0.0.5:7080", "127.0.0.1:7081")


@pytest.mark.parametrize("collector", ["127.0.0.1:9", "localhost:9", "unix:/run/collector"])
def test_for_a_wildcard_stands_the_way_to_the_collector(collector: str) -> None:
    at = Addresses(EVERYWHERE, METRICS)
    assert at.towards(collector) == ("127.0.0.1:7080", "127.0.0.1:7081")


def test_one_wildcard_does_not_change_the_other_address() -> None:
    at = Addresses(place("unix:/run/agent.sock"), METRICS)
    assert at.towards("127.0.0.1:9") == ("unix:/run/agent.sock", "127.0.0.1:7081")


def test_what_the_operator_told_wins() -> None:
    at = Addresses(EVERYWHERE, METRICS, "gate.example:17080")
    assert at.towards("nowhere.invalid:1") == ("gate.example:17080", "gate.example:7081")
    at = Addresses(Address("10.0.0.5", 7080), LOOPBACK, "gate.example:17080")
    assert at.towards("nowhere.invalid:1") == ("gate.example:17080", "127.0.0.1:7081")


def test_an_address_of_ipv6_keeps_its_brackets() -> None:
    at = Addresses(Address("::", 7080), LOOPBACK, "[2001:db8::1]:7080")
    assert at.towards("x:1")[0] == "[2001:db8::1]:7080"


@pytest.mark.parametrize("collector", ["nonsense", "127.0.0.1:", "127.0.0.1:0"])
def test_a_collector_that_is_no_address_is_told(collector: str) -> None:
    at = Addresses(EVERYWHERE, LOOPBACK)
    with pytest.raises(OSError, match="HOST:PORT"):
        at.towards(collector)
