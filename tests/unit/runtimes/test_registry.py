"""The registry opens what it names, and says what is missing."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

from agent.errors import ConfigError
from agent.runtimes.registry import RUNTIMES, RuntimeSettings, open_runtimes


async def test_every_line_opens_a_runtime_of_its_name(tmp_path: Path) -> None:
    names = list(RUNTIMES)
    opened = open_runtimes(names, RuntimeSettings("agent", tmp_path))
    assert [runtime.name for runtime in opened] == names
    for runtime in opened:
        await runtime.close()


def test_an_unknown_name_is_refused_with_the_known_ones(tmp_path: Path) -> None:
    with pytest.raises(ConfigError) as caught:
        open_runtimes(["fake", "jail"], RuntimeSettings("agent", tmp_path))
    assert caught.value.problem.value == "jail"
    assert "qemu-microvm" in caught.value.problem.remedy


def test_a_missing_library_names_its_install_command(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in [name for name in sys.modules if name.startswith("agent.runtimes.docker")]:
        monkeypatch.delitem(sys.modules, name)
    monkeypatch.setitem(sys.modules, "docker", None)
    monkeypatch.setitem(sys.modules, "docker.errors", None)
    with pytest.raises(ConfigError, match="docker") as caught:
        open_runtimes(["docker"], RuntimeSettings("agent", tmp_path))
    assert "pip install 'tonnage[agent]'" in caught.value.problem.remedy
