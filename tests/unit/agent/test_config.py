"""Configuration: precedence, and errors that name flag, value and way out."""

from __future__ import annotations

from pathlib import Path

import pytest

from agent.config import AgentConfig
from agent.configure import load, read
from agent.errors import ConfigError
from agent.identity.folder import IdentityFolder, Issued
from tests.pki import Authority
from tonnage.identity import Identity, Role
from tonnage.tls import make_key_and_request


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
        (["--listen", "unix:agent.sock"], "listen", "unix:/PATH"),
        (["--metrics", "unix:/run/x"], "metrics", "HOST:PORT"),
        (["--metrics", "[::]:7081"], "metrics", "join"),
        (["--advertise", "gate.example"], "advertise", "HOST:PORT"),
        (["--tls-dir", "/nowhere/tls"], "tls_dir", "holds no identity"),
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


def test_labels_of_a_file_come_under_those_given(tmp_path: Path) -> None:
    file = tmp_path / "labels"
    file.write_text("# where it stands\nrack=7\nroom = b\n\nowner=ann=eve\n")
    config = load(["--labels-file", str(file), "--labels", "rack=8"], {})
    assert config.labels == {"rack": "8", "room": "b", "owner": "ann=eve"}


@pytest.mark.parametrize("content", ["rack\n", "=7\n", None])
def test_a_labels_file_that_cannot_be_used_is_named(tmp_path: Path, content: str | None) -> None:
    file = tmp_path / "labels"
    if content is not None:
        file.write_text(content)
    with pytest.raises(ConfigError, match="labels_file") as caught:
        load(["--labels-file", str(file)], {})
    assert caught.value.problem.value == str(file)
    assert "name=value" in caught.value.problem.remedy


@pytest.fixture
def joined(tmp_path: Path) -> Path:
    """A data folder with an identity."""
    authority = Authority(tmp_path / "pki")
    folder = IdentityFolder(tmp_path / "data/identity")
    key, request = make_key_and_request("h1")
    folder.keep_key(key)
    certificate = authority.sign(request, Identity(Role.AGENT, "h1"))
    folder.replace(Issued(certificate, authority.pem), "h1", "10.0.0.1:7070")
    return tmp_path / "data"


def test_with_an_identity_every_address_will_do(joined: Path) -> None:
    flags = ["--listen", "192.0.2.1:7080", "--metrics", "[::]:7081", "--data-dir", str(joined)]
    config = load(flags, {})
    assert (config.listen, config.metrics) == ("192.0.2.1:7080", "[::]:7081")
    assert (config.name, config.collector) == ("h1", "10.0.0.1:7070")
    assert config.tls_dir == joined / "identity"


def test_what_is_given_beats_what_was_learnt_at_joining(joined: Path) -> None:
    config = load(["--data-dir", str(joined), "--collector", "c:1", "--name", "h1"], {})
    assert config.collector == "c:1"


def test_an_identity_may_be_elsewhere(joined: Path, tmp_path: Path) -> None:
    flags = ["--data-dir", str(tmp_path / "new"), "--tls-dir", str(joined / "identity")]
    assert load(flags, {}).name == "h1"


def test_without_an_identity_there_is_no_tls(tmp_path: Path) -> None:
    config = load(["--data-dir", str(tmp_path), "--tls-dir", ""], {})
    assert config.tls_dir is None
    assert load(["--listen", "unix:/run/agent.sock"], {}).listen == "unix:/run/agent.sock"


def test_who_joins_may_already_be_configured_to_listen_everywhere(tmp_path: Path) -> None:
    file = tmp_path / "agent.toml"
    file.write_text(f'name = "h7"\nlisten = "0.0.0.0:7080"\ndata_dir = "{tmp_path}"\n')
    config = read(["--config", str(file)], {})
    assert (config.name, config.identity_dir) == ("h7", tmp_path / "identity")
    with pytest.raises(ConfigError, match="tonnage-agent join"):
        load(["--config", str(file)], {})


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
