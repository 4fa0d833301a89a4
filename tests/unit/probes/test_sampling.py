"""One sample of everything."""

from __future__ import annotations

from pathlib import Path

from agent.probes.base import Roots
from agent.probes.memory import PAGE_BYTES
from agent.probes.sampling import Sampler
from agent.process import TICK_NS, ProcessView
from tonnage.model import Sample

HOSTS = Path(__file__).parents[2] / "fixtures" / "hosts"
KIB, MIB = 1024, 1024 * 1024


def roots(kind: str) -> Roots:
    return Roots(HOSTS / kind / "proc", HOSTS / kind / "sys")


def container(kind: str) -> ProcessView:
    return ProcessView((4300, 4301), {"memory": HOSTS / kind / "sys/fs/cgroup/memory/docker/abc"})


def test_a_sample_holds_every_estimator(tmp_path: Path) -> None:
    (tmp_path / "image").write_bytes(b"x" * 10000)
    sample = Sampler(roots("hybrid")).sample(
        [container("hybrid")],
        alive=1,
        answering=1,
        base_paths=[tmp_path],
        engine_pids=[4300, 4300],
        program_pids=[4242],
    )
    assert sample.disk_base_bytes
    assert sample == Sample(
        instances=1,
        alive=1,
        answering=1,
        mem_available_bytes=8192000 * KIB,
        pss_bytes=3200 * KIB,
        cgroup_bytes=4321280,
        engine_bytes=2500 * KIB,
        engine_cpu_ns=15 * TICK_NS,
        disk_base_bytes=sample.disk_base_bytes,
        disk_marginal_bytes=0,
        cpu_some_avg10=3.53,
        memory_some_avg10=0.62,
        io_some_avg10=12.0,
        foreign_bytes=250 * PAGE_BYTES,
    )


def test_a_vm_without_a_group_leaves_the_group_charge_open() -> None:
    vm = ProcessView((4242,), vmm_pid=4242, guest_ram_bytes=128 * MIB)
    sample = Sampler(roots("v2")).sample([vm], alive=1, answering=0)
    assert sample.cgroup_bytes is None
    assert sample.vmm_overhead_bytes
    assert sample.answering == 0


def test_what_the_kernel_lacks_is_none_with_a_reason() -> None:
    sampler = Sampler(roots("bare"))
    sample = sampler.sample([container("bare")], alive=1, answering=1)
    assert sample.mem_available_bytes is None
    assert sample.pss_bytes is None
    assert sample.cpu_some_avg10 is None
    assert set(sampler.gaps) == {"memory", "pressure", "pss", "layers"}
    assert "3.14" in sampler.gaps["memory"]


def test_each_probe_reports_its_duration_and_success() -> None:
    seen: dict[str, tuple[float, bool]] = {}
    sampler = Sampler(roots("v1"), lambda name, took, success: seen.update({name: (took, success)}))
    sampler.sample([container("v1")], alive=1, answering=1)
    assert set(seen) == {"memory", "foreign", "pressure", "pss", "cgroup", "layers", "disk"}
    assert all(took >= 0 for took, _ in seen.values())
    assert [name for name, (_, success) in seen.items() if not success] == ["pressure", "layers"]


def test_the_disk_base_is_walked_once(tmp_path: Path) -> None:
    image = tmp_path / "image"
    image.write_bytes(b"x" * 10000)
    sampler = Sampler(roots("v2"))
    before = sampler.sample([], alive=0, answering=0, base_paths=[image])
    image.unlink()
    after = sampler.sample([], alive=0, answering=0, base_paths=[image])
    assert before.disk_base_bytes == after.disk_base_bytes
