"""The example configurations: whole, true, and as the programs read them."""

from __future__ import annotations

import re
import tomllib
from collections.abc import Callable
from typing import Any

import pytest

from agent.config import AgentConfig
from agent.configure import read as read_agent
from collector.config import CollectorConfig
from collector.config import load as read_collector
from deploy import examples

FIELDS = {"agent": AgentConfig.model_fields, "collector": CollectorConfig.model_fields}
READS: dict[str, Callable[[list[str]], Any]] = {
    "agent": lambda arguments: read_agent(arguments, {}),
    "collector": read_collector,
}


def test_they_are_not_stale() -> None:
    on_disk = {path.name: path.read_text() for path in examples.FOLDER.iterdir()}
    assert on_disk == examples.examples(), "stale: .venv/bin/python -m deploy.examples"


@pytest.mark.parametrize("role", FIELDS)
def test_every_key_is_documented_once(role: str) -> None:
    text = examples.examples()[f"{role}.toml.example"]
    keys = re.findall(r"^#?(\w+) = ", text, re.MULTILINE)
    assert keys == list(FIELDS[role])
    assert all(field.description for field in FIELDS[role].values())


@pytest.mark.parametrize("role", FIELDS)
def test_what_is_set_for_servers_are_keys_of_the_program(role: str) -> None:
    set_here = tomllib.loads(examples.examples()[f"{role}.toml.example"])
    assert set_here == examples.ON_A_SERVER[role]


@pytest.mark.parametrize("role", FIELDS)
def test_the_defaults_that_are_shown_are_the_defaults(role: str) -> None:
    text = examples.examples()[f"{role}.toml.example"]
    lines = [line for line in text.splitlines() if not line.endswith("# an example")]
    shown = tomllib.loads("\n".join(re.sub(r"^#(\w+ = )", r"\1", line) for line in lines))
    for key in shown.keys() - examples.ON_A_SERVER[role].keys():
        default = FIELDS[role][key].get_default(call_default_factory=True)
        seen = tuple(shown[key]) if isinstance(shown[key], list) else shown[key]
        assert seen == (default if isinstance(default, int | float | tuple) else str(default))


@pytest.mark.parametrize("role", FIELDS)
def test_the_program_takes_it(role: str, tmp_path: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / f"{role}.toml"
    path.write_text(examples.examples()[f"{role}.toml.example"])
    config = READS[role](["--config", str(path)])
    assert config.listen == examples.ON_A_SERVER[role]["listen"]
