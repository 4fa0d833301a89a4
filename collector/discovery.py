"""The agents' metrics endpoints as Prometheus finds them over HTTP. Pure.

The format: https://prometheus.io/docs/prometheus/latest/http_sd/ (a JSON list of
target groups; every label's value is text).
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import TypedDict

from collector.views import HostInfo

_PREFIX = "__meta_tonnage_"
_FOREIGN = re.compile(r"[^A-Za-z0-9_]")


class TargetGroup(TypedDict):
    """One agent's endpoint and what may be relabelled."""

    targets: list[str]
    labels: dict[str, str]


def target_groups(hosts: Sequence[HostInfo]) -> list[TargetGroup]:
    """One group a host, by name, but for hosts that are lost or serve no metrics
    over TCP.

    ``__meta_tonnage_label_NAME`` holds each operator's label, what a label's name
    may not have replaced by ``_``; where two names become one, the one that needed
    no change wins, else the first by name.
    """
    return [
        TargetGroup(targets=[host.metrics_address], labels=_labels(host))
        for host in sorted(hosts, key=lambda host: host.facts.host)
        if host.state != "lost" and _over_tcp(host.metrics_address)
    ]


def _over_tcp(address: str) -> bool:
    return bool(address) and not address.startswith("unix:")


def _labels(host: HostInfo) -> dict[str, str]:
    return {
        "__scheme__": "https" if host.metrics_tls else "http",
        f"{_PREFIX}host": host.facts.host,
        f"{_PREFIX}state": host.state,
        f"{_PREFIX}agent_version": host.facts.agent_version,
        **_operators(host.facts.labels),
    }


def _operators(labels: Mapping[str, str]) -> dict[str, str]:
    found: dict[str, str] = {}
    for name in sorted(labels, key=lambda name: (_FOREIGN.search(name) is not None, name)):
        found.setdefault(f"{_PREFIX}label_{_FOREIGN.sub('_', name)}", labels[name])
    return found
