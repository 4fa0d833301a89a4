"""Flags, their environment twins, and what is wrong with them."""

from __future__ import annotations

from pathlib import Path

import pytest

from collector.config import CollectorConfig, load
from collector.errors import ConfigError


def test_a_flag_goes_before_its_variable_and_that_before_the_default(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("TONNAGE_COLLECTOR_LISTEN", "127.0.0.1:1")
    monkeypatch.setenv("TONNAGE_COLLECTOR_LOST_AFTER", "7")
    config = load(["--listen", "127.0.0.1:2"])
    assert (config.listen, config.lost_after, config.http) == ("127.0.0.1:2", 7, "127.0.0.1:7071")


def test_a_file_goes_after_flags_and_variables(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    file = tmp_path / "collector.toml"
    file.write_text('listen = "127.0.0.1:1"\nlost_after = 5\nlease = 3.5\nlog_level = "debug"\n')
    monkeypatch.setenv("TONNAGE_COLLECTOR_CONFIG", str(file))
    monkeypatch.setenv("TONNAGE_COLLECTOR_LOST_AFTER", "7")
    config = load(["--listen", "127.0.0.1:2"])
    assert (config.listen, config.lost_after, config.lease) == ("127.0.0.1:2", 7, 3.5)
    assert (config.log_level, config.drain) == ("debug", 5)


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("lost_afer = 3", ["lost_afer", "no key of the collector", "lost_after"]),
        ('lease = "soon"', ["--lease", "soon"]),
        ("lease = ", ["--config", "TOML"]),
        ('listen = "10.0.0.1:1"', ["--listen", "10.0.0.1:1", "--tls-dir"]),
        ("[agent]\nx = 1", ["agent", "no key"]),
    ],
)
def test_what_is_wrong_in_a_file_is_named(text: str, said: list[str], tmp_path: Path) -> None:
    file = tmp_path / "collector.toml"
    file.write_text(text)
    with pytest.raises(ConfigError) as refused:
        load(["--config", str(file)])
    assert all(word in str(refused.value) for word in said)


def test_a_file_that_is_not_there_is_named(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="nowhere"):
        load(["--config", str(tmp_path / "nowhere.toml")])


def test_with_a_folder_of_certificates_every_address_may_be_served(tmp_path: Path) -> None:
    config = load(["--tls-dir", str(tmp_path), "--listen", "0.0.0.0:1", "--http", "[::]:2"])
    assert (config.grpc_address.wildcard, config.http_address.wildcard) == (True, True)


def test_a_unix_socket_is_for_grpc_alone() -> None:
    assert str(load(["--listen", "unix:/run/x.sock"]).grpc_address) == "unix:/run/x.sock"
    with pytest.raises(ConfigError, match="--http"):
        load(["--http", "unix:/run/x.sock"])


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


def test_every_key_says_what_it_is() -> None:
    assert all(field.description for field in CollectorConfig.model_fields.values())
