"""The parts of the runc runtime that need no runc."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest

from agent.runtimes import cgroups
from agent.runtimes.runc.appearing import renamed_into
from agent.runtimes.runc.groups import Groups, weighed
from agent.runtimes.runc.health import parse_versions


def _tree(root: Path, membership: str, *folders: str) -> None:
    for folder in folders:
        (root / folder).mkdir(parents=True)
        (root / folder / "cgroup.procs").touch()
    (root / "self").write_text(membership)


@pytest.fixture
def groups(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A root of cgroups, in which the agent is as ``self`` says."""
    for name in ("parents", "own"):
        real = getattr(cgroups, name)
        monkeypatch.setattr(
            cgroups, name, lambda root, real=real: real(root, membership=root / "self")
        )
    return tmp_path


def test_groups_of_version_one_are_below_the_agents_own_in_each_hierarchy(groups: Path) -> None:
    lines = "4:memory:/agent\n3:cpu,cpuacct:/\n1:name=systemd:/unit\n0::/\n"
    _tree(groups, lines, "memory/agent", "cpu", "cpuacct", "systemd/unit", "unified")
    (groups / "memory/agent/memory.memsw.limit_in_bytes").touch()
    found = Groups(groups)
    assert found.obstacle() == ""
    assert found.path("x") == "x"
    assert found.rules.limit_swap
    assert not found.rules.unified
    assert found.folders("x") == {
        "memory": groups / "memory/agent/x",
        "cpu": groups / "cpu/x",
        "cpuacct": groups / "cpuacct/x",
        "systemd": groups / "systemd/unit/x",
        "unified": groups / "unified/x",
    }
    assert set(weighed(found.folders("x"))) == {"memory", "cpuacct"}


def test_groups_of_version_two_are_told_from_the_root(groups: Path) -> None:
    _tree(groups, "0::/system.slice/agent.service\n", "system.slice/agent.service")
    own = groups / "system.slice/agent.service"
    found = Groups(groups)
    assert found.path("x") == "/system.slice/agent.service/x"
    assert found.rules.unified
    assert not found.rules.limit_swap
    assert weighed(found.folders("x")) == {"unified": own / "x"}


def test_a_host_without_cgroups_is_told_so(groups: Path) -> None:
    _tree(groups, "")
    assert "no cgroup for memory" in Groups(groups).obstacle()


def test_versions_are_read_as_runc_tells_them() -> None:
    said = "runc version 1.1.5+ds1\ncommit: 1.1.5\nspec: 1.0.2-dev\nlibseccomp: 2.5.4\n"
    assert parse_versions(said) == {
        "runc": "1.1.5+ds1",
        "spec": "1.0.2-dev",
        "libseccomp": "2.5.4",
    }
    assert parse_versions("something else\n") == {}
    assert parse_versions("") == {}


async def test_a_file_is_seen_when_it_gets_its_name(tmp_path: Path) -> None:
    with renamed_into(tmp_path) as seen:
        (tmp_path / ".pid").write_text("1")
        await asyncio.sleep(0)
        assert not seen.done()
        (tmp_path / ".pid").rename(tmp_path / "pid")
        async with asyncio.timeout(5):
            assert await seen > 0


async def test_a_folder_that_is_not_there_cannot_be_watched(tmp_path: Path) -> None:
    with pytest.raises(OSError, match="watched"), renamed_into(tmp_path / "none"):
        pass
