"""How addresses are read, told, and reached by whom."""

from __future__ import annotations

import pytest

from tonnage.address import host_and_port, ip_address, place


@pytest.mark.parametrize(
    ("text", "told"),
    [("localhost:0", "127.0.0.1:0"), ("[::1]:80", "[::1]:80"), ("unix:/run/a", "unix:/run/a")],
)
def test_an_address_is_told_as_it_is_dialled(text: str, told: str) -> None:
    assert str(place(text)) == told


@pytest.mark.parametrize("text", ["", ":1", "h:0", "h:65536", "h:x", "a..b:1", "-h:1", "h:1:2 "])
def test_what_cannot_be_dialled(text: str) -> None:
    with pytest.raises(ValueError, match="HOST:PORT"):
        host_and_port(text)


def test_what_is_dialled_is_a_name_or_a_number() -> None:
    assert host_and_port("h1.example:7070") == ("h1.example", 7070)
    assert host_and_port("[2001:db8::1]:7070") == ("2001:db8::1", 7070)


def test_another_port_is_the_way_out() -> None:
    assert "--listen" in ip_address("127.0.0.1:7080").another("--listen")
    assert "ss -lxp" in place("unix:/run/a").another("--listen")


@pytest.mark.parametrize(
    ("text", "private", "wildcard"),
    [
        ("127.0.0.1:1", True, False),
        ("localhost:1", True, False),
        ("[::1]:1", True, False),
        ("unix:/run/a", True, False),
        ("0.0.0.0:1", False, True),
        ("[::]:1", False, True),
        ("192.168.1.1:1", False, False),
    ],
)
def test_who_reaches_an_address(text: str, private: bool, wildcard: bool) -> None:
    assert (place(text).private, place(text).wildcard) == (private, wildcard)


@pytest.mark.parametrize("text", ["unix:relative", "unix:", "unix:/" + "x" * 120, "a.example:1"])
def test_what_cannot_be_listened_on(text: str) -> None:
    with pytest.raises(ValueError, match="must be"):
        place(text)
