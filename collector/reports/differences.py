"""What of the hosts' facts is the same everywhere, and in what they differ."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from collector.reports import figures
from collector.reports.model import HostSummary, Result
from collector.reports.names import some_of


@dataclass(frozen=True, slots=True)
class Differences:
    """``same`` holds names and values; each of ``rows`` has hosts, how many, and a value
    for each name of ``columns``."""

    same: list[tuple[str, str]]
    columns: list[str]
    rows: list[tuple[str, int, list[str]]]


def differences(result: Result) -> Differences:
    """Of all hosts that reported their facts; hosts that are alike share a row."""
    told = {host.host: _facts(host) for host in result.hosts if host.facts}
    names = list(dict.fromkeys(name for facts in told.values() for name in facts))
    seen = {name: {facts.get(name, figures.NOTHING) for facts in told.values()} for name in names}
    columns = [name for name in names if len(seen[name]) > 1]
    rows: dict[tuple[str, ...], list[str]] = {}
    for host, facts in told.items():
        values = tuple(facts.get(name, figures.NOTHING) for name in columns)
        rows.setdefault(values, []).append(host)
    return Differences(
        same=[(name, seen[name].pop()) for name in names if name not in columns],
        columns=columns,
        rows=[(some_of(hosts), len(hosts), list(values)) for values, hosts in rows.items()]
        if columns
        else [],
    )


def _facts(host: HostSummary) -> dict[str, str]:
    """What matters to a measurement, as people read it."""
    facts: dict[str, Any] = host.facts
    found = {
        "CPU": facts["cpu_model"],
        "logical CPUs": str(facts["cpus"]),
        "memory": figures.size(facts["memory_bytes"]),
        "swap": figures.size(facts["swap_bytes"]),
        "architecture": facts["architecture"],
        "system": facts["os"],
        "kernel": facts["kernel"],
        "itself virtual": facts["virtualization"] or "no sign of it",
        "cgroup": facts["cgroup"],
        "pressure information": "yes" if facts["psi"] else "no",
        "samepage merging": facts["ksm"],
        "huge pages": facts["transparent_huge_pages"],
        "CPU governor": facts["governor"],
        "agent": facts["agent_version"],
    }
    for runtime in host.runtimes:
        if runtime.state != "undetected":
            chip = "" if runtime.accelerator == "none" else f" ({runtime.accelerator.upper()})"
            version = runtime.version or "version unknown"
            state = "" if runtime.state == "healthy" else f", {runtime.state}"
            found[runtime.name] = f"{version}{chip}{state}"
            found |= {f"{runtime.name}: {part}": v for part, v in runtime.components.items()}
    return found | {f"label {name}": value for name, value in facts["labels"].items()}
