"""A memory group of either version, made and removed in trees that stand in for a host."""

from __future__ import annotations

from pathlib import Path

import pytest

from agent import memory_group
from agent.errors import RuntimeUnavailable
from agent.probes.base import NoData, Reading, Roots
from agent.probes.group import GroupMemory

LIMIT = 256 << 20


def hierarchy(folder: Path, **files: str) -> Path:
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "cgroup.procs").touch()
    for name, content in files.items():
        (folder / name.replace("__", ".")).write_text(content)
    return folder


@pytest.fixture
def unified(tmp_path: Path) -> Path:
    return hierarchy(
        tmp_path, cgroup__controllers="cpu memory pids\n", cgroup__subtree_control="cpu\n"
    )


def test_version_two_shares_memory_out_and_limits_the_group(unified: Path) -> None:
    group = memory_group.make("a1", LIMIT, unified)
    assert group.path == f"/{group.folder.name}"
    assert group.folder.parent == unified
    assert (unified / "cgroup.subtree_control").read_text() == "+memory"
    assert (group.folder / "memory.max").read_text() == str(LIMIT)
    assert (group.folder / "cgroup.subtree_control").read_text() == "+memory"


@pytest.mark.parametrize("files", [{}, {"cgroup__controllers": "cpu pids\n"}])
def test_a_host_without_a_memory_controller_is_refused_with_the_way_out(
    tmp_path: Path, files: dict[str, str]
) -> None:
    hierarchy(tmp_path, **files)
    with pytest.raises(RuntimeUnavailable) as caught:
        memory_group.make("a1", LIMIT, tmp_path)
    assert caught.value.problem.field == "density.memory_limit"
    assert caught.value.problem.remedy
    assert memory_group.leftovers("a1", tmp_path) == []


def test_a_group_is_removed_from_every_hierarchy_and_no_other_agents(tmp_path: Path) -> None:
    """Engines make the path anew wherever they have a controller."""
    mine, theirs = "tonnage-limit-a1-00ff", "tonnage-limit-a2-00ff"
    for controller in ("memory", "cpu", "pids"):
        hierarchy(tmp_path / controller)
        for name in (mine, theirs):
            (tmp_path / controller / name / "container").mkdir(parents=True)
    assert memory_group.leftovers("a1", tmp_path) == [mine]
    assert memory_group.remove_leftovers("a1", tmp_path) == []
    assert memory_group.leftovers("a1", tmp_path) == []
    assert memory_group.leftovers("a2", tmp_path) == [theirs]


def test_what_is_busy_stays_and_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(memory_group, "_REMOVE_SECONDS", 0.0)
    folder = hierarchy(tmp_path / "memory") / "tonnage-limit-a1-00ff"
    hierarchy(folder)  # a folder with a file in it refuses, as one with a process does
    assert memory_group.remove_leftovers("a1", tmp_path) == [folder]


V2_STAT = "anon 1000\nfile 900\nshmem 100\nkernel 70\nslab_reclaimable 20\n"


def v2(folder: Path, **files: str) -> GroupMemory:
    given = {
        "cgroup__controllers": "memory\n",
        "memory__stat": V2_STAT,
        "memory__current": "1970\n",
        "memory__peak": "2470\n",
        "memory__events": "oom 1\noom_kill 3\n",
    }
    hierarchy(folder, **{**given, **files})
    return GroupMemory(folder, Roots())


def test_version_two_counts_what_cannot_be_had_back(tmp_path: Path) -> None:
    probe = v2(tmp_path)
    (tmp_path / "memory.events").write_text("oom 2\noom_kill 5\n")
    found = probe.read()
    assert isinstance(found, Reading)
    assert found.values == {"group_bytes": 1150, "group_peak_bytes": 1650, "oom_kills": 2}


def test_a_kernel_before_the_sum_of_kernel_memory_gives_its_parts(tmp_path: Path) -> None:
    stat = "anon 1000\nshmem 100\nkernel_stack 10\npagetables 20\nslab 30\nslab_reclaimable 5\n"
    found = v2(tmp_path, memory__stat=stat).read()
    assert isinstance(found, Reading)
    assert found.values["group_bytes"] == 1155


def test_a_kernel_without_a_mark_of_the_highest_charge_gives_none(tmp_path: Path) -> None:
    probe = v2(tmp_path)
    (tmp_path / "memory.peak").unlink()
    found = probe.read()
    assert isinstance(found, Reading)
    assert "group_peak_bytes" not in found.values


def test_version_one_counts_alike_and_sets_its_mark_back(tmp_path: Path) -> None:
    proc = tmp_path / "proc"
    proc.mkdir()
    (proc / "vmstat").write_text("nr_free_pages 5\noom_kill 7\n")
    group = hierarchy(
        tmp_path / "memory/g",
        memory__stat="cache 500\ntotal_cache 500\ntotal_rss 1000\ntotal_shmem 100\n",
        memory__kmem__usage_in_bytes="50\n",
        memory__usage_in_bytes="1550\n",
        memory__max_usage_in_bytes="2050\n",
    )
    probe = GroupMemory(group, Roots(proc))
    (proc / "vmstat").write_text("oom_kill 8\n")
    found = probe.read()
    assert isinstance(found, Reading)
    assert found.values == {"group_bytes": 1150, "group_peak_bytes": 1650, "oom_kills": 1}
    assert (group / "memory.max_usage_in_bytes").read_text() == "0"


def test_a_group_that_is_gone_has_no_data(tmp_path: Path) -> None:
    assert isinstance(GroupMemory(tmp_path / "gone", Roots()).read(), NoData)
