"""Whose a container is, and how it is found by that. Pure."""

from __future__ import annotations

from collections.abc import Mapping

from agent.runtimes.base import LaunchSpec, Scope

NAMESPACE = "tonnage-agent"
"""The containerd namespace of all agents; Docker, Kubernetes and others have theirs."""
SNAPSHOTTER = "overlayfs"
AGENT = "tonnage.agent"
RUN = "tonnage.run"
TRIAL = "tonnage.trial"
INSTANCE = "tonnage.instance"
_KEPT = "containerd.io/gc.root"


def name_of(instance_id: str) -> str:
    """The name of an instance's container and of its snapshot."""
    return f"tonnage-{instance_id}"


def labels(spec: LaunchSpec) -> dict[str, str]:
    """Whose container it is."""
    return {
        AGENT: spec.scope.agent_id,
        RUN: spec.scope.run_id,
        TRIAL: spec.scope.trial_id,
        INSTANCE: spec.instance_id,
    }


def kept(of: Mapping[str, str], since: str) -> dict[str, str]:
    """Labels by which a snapshot is not collected before a container refers to it.

    ``since`` is any time in RFC 3339: containerd looks only whether the label is there.
    """
    return {**of, _KEPT: since}


def scope_filter(scope: Scope) -> str:
    """containerd's filter for what a scope's agent has (of its run only, where it is set)."""
    wanted = [(AGENT, scope.agent_id), *([(RUN, scope.run_id)] if scope.run_id else [])]
    return ",".join(f'labels."{label}"=={_quoted(value)}' for label, value in wanted)


def _quoted(value: str) -> str:
    escaped = value.replace("\\", "\\\\").replace('"', '\\"')
    return f'"{escaped}"'
