"""A launch as the body of an engine's create call. Pure."""

from __future__ import annotations

from collections.abc import Sequence

from agent.errors import InvalidInput
from agent.runtimes.base import LaunchSpec, Scope
from agent.runtimes.docker.limits import Ulimit
from tonnage.model import ConsoleHealth, HttpHealth, HttpReadiness, Network, TcpReadiness, Workload

LABEL_AGENT = "tonnage.agent"
LABEL_RUN = "tonnage.run"
LABEL_TRIAL = "tonnage.trial"
LABEL_INSTANCE = "tonnage.instance"

_NETWORK_MODES = {Network.NONE: "none", Network.BRIDGE: "bridge"}


def container_name(instance_id: str) -> str:
    """The name under which an instance's container is found again."""
    return f"tonnage-{instance_id}"


def labels(spec: LaunchSpec) -> dict[str, str]:
    """Whose container it is."""
    return {
        LABEL_AGENT: spec.scope.agent_id,
        LABEL_RUN: spec.scope.run_id,
        LABEL_TRIAL: spec.scope.trial_id,
        LABEL_INSTANCE: spec.instance_id,
    }


def label_filter(scope: Scope) -> list[str]:
    """The labels by which a scope's containers are listed."""
    wanted = [f"{LABEL_AGENT}={scope.agent_id}"]
    return [*wanted, f"{LABEL_RUN}={scope.run_id}"] if scope.run_id else wanted


def needs_stdin(workload: Workload) -> bool:
    """Whether something will be asked on its console."""
    return isinstance(workload.health, ConsoleHealth)


def container_config(
    spec: LaunchSpec, runtime: str | None, limits: Sequence[Ulimit] = ()
) -> dict[str, object]:
    """The create call's body; ``runtime`` is the engine's name of a low-level
    runtime, ``None`` for its default. Without ``limits`` the engine gives its own.

    Raises ``InvalidInput`` for a combination that could never become ready.
    """
    check_network(spec)
    target, workload = spec.target, spec.target.workload
    stdin = needs_stdin(workload)
    config: dict[str, object] = {
        "Image": spec.prepared.digest,
        "Env": [f"{name}={value}" for name, value in workload.environment.items()],
        "Labels": labels(spec),
        "AttachStdin": stdin,
        "AttachStdout": True,
        "AttachStderr": True,
        "OpenStdin": stdin,
        "StdinOnce": False,
        "Tty": False,
        # An image's own health check is a process started inside, again and again.
        "Healthcheck": {"Test": ["NONE"]},
        "HostConfig": _host_config(spec, runtime, limits),
    }
    if workload.command:
        config["Entrypoint"] = list(workload.command)
        config["Cmd"] = []
    if target.network is Network.NONE:
        config["NetworkDisabled"] = True
    return config


def _host_config(
    spec: LaunchSpec, runtime: str | None, limits: Sequence[Ulimit]
) -> dict[str, object]:
    target = spec.target
    host_config: dict[str, object] = {
        "NetworkMode": _NETWORK_MODES[target.network],
        "Memory": target.memory_bytes,
        "MemorySwap": target.memory_bytes,  # the same: no swap on top, as a VM has none
        "NanoCpus": target.cpus * 1_000_000_000,
        "RestartPolicy": {"Name": "no"},
        "Init": False,
        "AutoRemove": False,
        # The engine's log would grow beside what is measured; attach works without.
        "LogConfig": {"Type": "none", "Config": {}},
    }
    if runtime is not None:
        host_config["Runtime"] = runtime
    if limits:
        host_config["Ulimits"] = list(limits)
    if spec.cgroup_parent is not None:
        host_config["CgroupParent"] = spec.cgroup_parent.path
    return host_config


def check_network(spec: LaunchSpec) -> None:
    """Refuse a network the engine has not, and checks that need one where there is none."""
    network, workload = spec.target.network, spec.target.workload
    if network not in _NETWORK_MODES:
        raise InvalidInput(
            "a container has no such network",
            field="network",
            value=network.value,
            remedy="Use none or bridge.",
        )
    if network is not Network.NONE:
        return
    for field, condition in (("readiness", workload.readiness), ("health", workload.health)):
        if isinstance(condition, (TcpReadiness, HttpReadiness, HttpHealth)):
            raise InvalidInput(
                "a container without a network cannot be reached on a port",
                field=f"workload.{field}",
                value=f"port {condition.port}",
                remedy="Set network: bridge, or use the console.",
            )
