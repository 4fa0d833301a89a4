"""The parts of the runc runtime that need no runc."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest

from agent.runtimes import cgroups
from agent.runtimes.base import ParentGroup
from agent.runtimes.runc.appearing import renamed_into
from agent.runtimes.runc.groups import Groups, weighed
from agent.runtimes.runc.health import parse_versions


def _tree(root: Path, membership: str, *folders: str) -> None:
    for folder in folders:
        (root / folder).mkdir(parents=True, exist_ok=True)
        (root / folder / "cgroup.procs").touch()
    (root / "self").write_text(membership)


def test_groups_of_version_one_are_below_the_agents_own_in_each_hierarchy(tmp_path: Path) -> None:
    lines = "4:memory:/agent\n3:cpu,cpuacct:/\n1:name=systemd:/unit\n0::/\n"
    _tree(
        tmp_path,
        lines,
        "memory",
        "memory/agent",
        "cpu",
        "cpuacct",
        "systemd",
        "systemd/unit",
        "unified",
    )
    (tmp_path / "memory/agent/memory.memsw.limit_in_bytes").touch()
    found = Groups(tmp_path, tmp_path / "self")
    assert found.obstacle() == ""
    assert found.path("x") == "x"
    assert cgroups.rules(tmp_path, tmp_path / "self") == cgroups.Rules(True, unified=False)
    assert found.folders("x") == {
        "memory": tmp_path / "memory/agent/x",
        "cpu": tmp_path / "cpu/x",
        "cpuacct": tmp_path / "cpuacct/x",
        "systemd": tmp_path / "systemd/unit/x",
        "unified": tmp_path / "unified/x",
    }
    assert set(weighed(found.folders("x"))) == {"memory", "cpuacct"}
    limit = ParentGroup("/limit", tmp_path / "memory/limit")
    assert found.path("x", limit) == "/limit/x"
    assert found.folders("x", limit)["memory"] == tmp_path / "memory/limit/x"
    assert found.folders("x", limit)["systemd"] == tmp_path / "systemd/limit/x"


def test_groups_of_version_two_are_told_from_the_root(tmp_path: Path) -> None:
    _tree(tmp_path, "0::/system.slice/agent.service\n", ".", "system.slice/agent.service")
    own = tmp_path / "system.slice/agent.service"
    found = Groups(tmp_path, tmp_path / "self")
    assert found.path("x") == "/system.slice/agent.service/x"
    assert cgroups.rules(tmp_path, tmp_path / "self") == cgroups.Rules(False, unified=True)
    (own / "memory.swap.max").touch()
    assert cgroups.rules(tmp_path, tmp_path / "self").limit_swap
    assert weighed(found.folders("x")) == {"unified": own / "x"}


def test_a_host_without_cgroups_is_told_so(tmp_path: Path) -> None:
    _tree(tmp_path, "")
    assert "no cgroup for memory" in Groups(tmp_path, tmp_path / "self").obstacle()


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
