"""Flags, their environment twins, and what is wrong with them."""

from __future__ import annotations

import pytest

from collector.config import CollectorConfig, address, load
from collector.errors import ConfigError


def test_a_flag_goes_before_its_variable_and_that_before_the_default(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("TONNAGE_COLLECTOR_LISTEN", "127.0.0.1:1")
    monkeypatch.setenv("TONNAGE_COLLECTOR_LOST_AFTER", "7")
    config = load(["--listen", "127.0.0.1:2"])
    assert (config.listen, config.lost_after, config.http) == ("127.0.0.1:2", 7, "127.0.0.1:7071")


@pytest.mark.parametrize(
    ("flags", "said"),
    [
        (["--listen", "0.0.0.0:1"], ["--listen", "0.0.0.0:1", "not a loopback address"]),
        (["--listen", "example.org:1"], ["--listen", "IP address"]),
        (["--http", "127.0.0.1"], ["--http", "HOST:PORT"]),
        (["--http", "127.0.0.1:65536"], ["--http", "65535"]),
        (["--lost-after", "soon"], ["--lost-after", "soon"]),
        (["--log-level", "loud"], ["--log-level", "loud"]),
        (["--store", ""], ["--store"]),
        (["--nonsense"], ["--nonsense"]),
    ],
)
def test_what_cannot_be_used_is_named(flags: list[str], said: list[str]) -> None:
    with pytest.raises(ConfigError) as refused:
        load(flags)
    assert all(word in str(refused.value) for word in said)
    assert "\n" not in str(refused.value)


def test_addresses_of_both_families() -> None:
    assert str(address("localhost:0")) == "127.0.0.1:0"
    assert str(address("[::1]:5")) == "[::1]:5"


def test_every_key_says_what_it_is() -> None:
    assert all(field.description for field in CollectorConfig.model_fields.values())
