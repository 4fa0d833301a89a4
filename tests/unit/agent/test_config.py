"""Configuration: precedence, and errors that name flag, value and way out."""

from __future__ import annotations

from pathlib import Path

import pytest

from agent.config import AgentConfig
from agent.configure import load
from agent.errors import ConfigError


def test_flags_beat_the_environment_which_beats_the_file(tmp_path: Path) -> None:
    file = tmp_path / "agent.toml"
    file.write_text('name = "file"\ncollector = "file:1"\nguard_max_instances = 7\n')
    environment = {"TONNAGE_AGENT_NAME": "env", "TONNAGE_AGENT_COLLECTOR": "env:1"}
    config = load(["--config", str(file), "--name", "flag"], environment)
    assert (config.name, config.collector, config.limits.max_instances) == ("flag", "env:1", 7)


def test_the_file_may_be_named_by_the_environment(tmp_path: Path) -> None:
    file = tmp_path / "agent.toml"
    file.write_text('runtimes = ["fake"]\n[labels]\nrack = "7"\n')
    config = load([], {"TONNAGE_AGENT_CONFIG": str(file)})
    assert config.runtimes == ("fake",)
    assert config.labels == {"rack": "7"}


def test_lists_and_pairs_are_separated_by_commas() -> None:
    config = load(["--runtimes", "docker, fake", "--labels", "rack=7,room=b=2"], {})
    assert config.runtimes == ("docker", "fake")
    assert config.labels == {"rack": "7", "room": "b=2"}


@pytest.mark.parametrize("key", sorted(AgentConfig.model_fields))
def test_every_key_is_documented_and_has_a_flag(
    key: str, capsys: pytest.CaptureFixture[str]
) -> None:
    description = AgentConfig.model_fields[key].description
    assert description
    assert description.endswith(".")
    with pytest.raises(SystemExit, match="0"):
        load(["--help"], {})
    assert f"--{key.replace('_', '-')} " in capsys.readouterr().out


@pytest.mark.parametrize(
    ("flags", "field", "says"),
    [
        (["--listen", "0.0.0.0:7080"], "listen", "mutual TLS"),
        (["--metrics", "192.168.1.1:1"], "metrics", "loopback"),
        (["--listen", "127.0.0.1"], "listen", "HOST:PORT"),
        (["--listen", "example.org:80"], "listen", "IP address"),
        (["--listen", "127.0.0.1:99999"], "listen", "65535"),
        (["--spool-cap-bytes", "lots"], "spool_cap_bytes", "integer"),
        (["--guard-max-instances", "0"], "guard_max_instances", "greater than or equal to 1"),
        (["--labels", "rack"], "labels", "name=value"),
        (["--name", "a host"], "name", "pattern"),
    ],
)
def test_a_bad_value_is_refused_by_name(flags: list[str], field: str, says: str) -> None:
    with pytest.raises(ConfigError) as caught:
        load(flags, {})
    assert caught.value.problem.field == field
    assert caught.value.problem.value == flags[1] or field == "labels"
    assert says in str(caught.value)
    assert f"--{field.replace('_', '-')}" in caught.value.problem.remedy


def test_an_unknown_key_of_the_file_is_refused(tmp_path: Path) -> None:
    file = tmp_path / "agent.toml"
    file.write_text("colector = 'x'\n")
    with pytest.raises(ConfigError, match="colector: is no key"):
        load(["--config", str(file)], {})


@pytest.mark.parametrize(
    ("content", "says"), [(None, "No such file"), (b"= =", "is not TOML"), (b"\xff", "is not TOML")]
)
def test_a_file_that_cannot_be_used_is_named(
    tmp_path: Path, content: bytes | None, says: str
) -> None:
    file = tmp_path / "agent.toml"
    if content is not None:
        file.write_bytes(content)
    with pytest.raises(ConfigError, match=says) as caught:
        load(["--config", str(file)], {})
    assert caught.value.problem.value == str(file)


def test_ipv6_loopback_is_an_address() -> None:
    assert load(["--listen", "[::1]:0"], {}).listen == "[::1]:0"
