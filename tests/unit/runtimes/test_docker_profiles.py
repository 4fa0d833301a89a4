"""What tells the runtimes of Docker's API apart, without an engine."""

from __future__ import annotations

from pathlib import Path

from agent.runtimes.base import LaunchSpec, Prepared, Scope
from agent.runtimes.docker import podman, runsc
from agent.runtimes.docker.config import container_config
from agent.runtimes.docker.engine import Description
from agent.runtimes.docker.limits import engine_limits
from tonnage.model import LogReadiness, Mode, Network, RuntimeState, Target, Workload


def test_an_engines_limits_are_told_in_the_words_of_a_create_call(tmp_path: Path) -> None:
    (tmp_path / "7").mkdir()
    (tmp_path / "7/limits").write_text(
        "Limit                     Soft Limit           Hard Limit           Units     \n"
        "Max cpu time              unlimited            unlimited            seconds   \n"
        "Max processes             unlimited            96365                processes \n"
        "Max open files            1024                 20000                files     \n"
    )
    limits = engine_limits(7, tmp_path)
    assert limits == [
        {"Name": "nproc", "Soft": -1, "Hard": 96365},
        {"Name": "nofile", "Soft": 1024, "Hard": 20000},
    ]
    assert engine_limits(8, tmp_path) == []
    workload = Workload("w", "some/image:1", LogReadiness("READY"))
    target = Target("t", "podman", "default", Mode.WARM, Network.NONE, workload, 64 << 20)
    prepared = Prepared(workload, "sha256:1")
    spec = LaunchSpec("one", Scope("a", "r", "t"), target, prepared, 60.0)
    named = container_config(spec, None, limits)["HostConfig"]
    assert isinstance(named, dict)
    assert named["Ulimits"] == limits
    assert "Ulimits" not in str(container_config(spec, None))


def described(**info: object) -> Description:
    """An engine's answers."""
    return Description({"Components": [{"Name": "Engine", "Version": "1"}]}, info, frozenset())


def test_an_engine_without_gvisor_says_how_to_get_it() -> None:
    found = runsc.examine(described(Runtimes={"runc": {"path": "runc"}}))
    assert found.obstacle is not None
    assert found.obstacle[0] is RuntimeState.UNDETECTED
    assert "runtimes.runsc in /etc/docker/daemon.json" in found.obstacle[1]


def test_a_gvisor_that_cannot_be_run_is_unhealthy(tmp_path: Path) -> None:
    found = runsc.examine(described(Runtimes={"runsc": {"path": str(tmp_path / "gone")}}))
    assert found.obstacle is not None
    assert found.obstacle[0] is RuntimeState.UNHEALTHY
    assert str(tmp_path / "gone") in found.obstacle[1]


def test_how_gvisor_is_registered_says_what_can_be_asked_of_it(tmp_path: Path) -> None:
    program = tmp_path / "runsc"
    program.write_text("#!/bin/sh\necho runsc version 1.2\necho spec: 1.0\n")
    program.chmod(0o755)
    registered = {"path": str(program), "runtimeArgs": ["--platform=kvm", "--network=sandbox"]}
    found = runsc.examine(described(Runtimes={"runsc": registered}))
    assert found.obstacle is None
    assert Network.BRIDGE in found.networks
    assert dict(found.components) == {
        "low_level_runtime": "runsc",
        "runsc": "1.2",
        "runsc_platform": "kvm",
        "runsc_cgroups": "used",
    }


def test_another_engine_is_not_taken_for_podman() -> None:
    found = podman.examine(described())
    assert found.obstacle is not None
    assert (found.obstacle[0], "Engine" in found.obstacle[1]) == (RuntimeState.UNHEALTHY, True)
    itself = Description({"Components": [{"Name": "Podman Engine"}]}, {}, frozenset())
    assert podman.examine(itself).obstacle is None
