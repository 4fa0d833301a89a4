"""What an OCI runtime is told of a container."""

from __future__ import annotations

from typing import Any

import pytest

from agent.runtimes.cgroups import Rules
from agent.runtimes.images.command import Process
from agent.runtimes.images.user import User
from agent.runtimes.oci import container_spec
from tonnage.model import LogReadiness, Mode, Network, Target, Workload

TARGET = Target(
    "t",
    "runc",
    "default",
    Mode.WARM,
    Network.NONE,
    Workload("w", "i:1", LogReadiness("up")),
    memory_bytes=64 << 20,
    cpus=2,
)
V1, V2 = Rules(limit_swap=True, unified=False), Rules(limit_swap=False, unified=True)


def _spec(user: User | None = None, rules: Rules = V1) -> dict[str, Any]:
    process = Process("/bin/x", ("x", "y z"), {"PATH": "/bin"}, user or User(), "/work")
    return container_spec(
        process, TARGET, root="rootfs", hostname="h", cgroups_path="below", rules=rules
    )


def test_a_process_is_told_as_it_was_resolved() -> None:
    process = _spec()["process"]
    assert process["args"] == ["x", "y z"]
    assert process["env"] == ["HOSTNAME=h", "PATH=/bin"]
    assert process["cwd"] == "/work"
    assert process["terminal"] is False


def test_only_root_begins_with_capabilities() -> None:
    root = _spec()["process"]["capabilities"]
    other = _spec(User(1000, 1000, (7,)))["process"]
    assert root["effective"] == root["permitted"] == root["bounding"]
    assert other["capabilities"]["effective"] == []
    assert other["capabilities"]["bounding"] == root["bounding"]
    assert other["user"]["additionalGids"] == [7]
    assert "CAP_SYS_ADMIN" not in root["bounding"]


def test_limits_are_those_of_the_target() -> None:
    resources = _spec()["linux"]["resources"]
    assert resources["memory"] == {"limit": 64 << 20, "swap": 64 << 20}
    assert resources["cpu"]["quota"] == 2 * resources["cpu"]["period"]


def test_swap_is_not_limited_where_the_host_cannot() -> None:
    assert "swap" not in _spec(rules=V2)["linux"]["resources"]["memory"]


@pytest.mark.parametrize(("rules", "own"), [(V1, False), (V2, True)])
def test_cgroups_of_version_two_are_a_namespace_of_their_own(rules: Rules, own: bool) -> None:
    kinds = [namespace["type"] for namespace in _spec(rules=rules)["linux"]["namespaces"]]
    assert ("cgroup" in kinds) is own
    assert {"pid", "network", "mount", "uts", "ipc"} <= set(kinds)
