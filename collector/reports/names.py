"""What a subject is called in a report: as short as still tells it from the others."""

from __future__ import annotations

from collections.abc import Sequence

from collector.reports.figures import binary_size
from collector.reports.model import Kind, Result, Subject

_FACTORS = ("variant", "mode", "network", "workload", "memory_bytes")
Identity = tuple[str, ...]


class Names:
    """The subjects of one result, in the order of its rows, each with a name."""

    def __init__(self, result: Result) -> None:
        self._subjects: dict[Identity, Kind] = {}
        rows = [
            *(*result.startup, *result.density, *result.footprint),
            *(*result.churn, *result.isolation, *result.memory_floor),
        ]
        for row in rows:
            self._subjects.setdefault(_without_host(row), row)
        self._varying = {
            runtime: [
                factor
                for factor in _FACTORS
                if len({getattr(s, factor) for s in self._of_runtime(runtime)}) > 1
            ]
            for runtime in {subject.runtime for subject in self._subjects.values()}
        }

    def _of_runtime(self, runtime: str) -> list[Kind]:
        return [s for s in self._subjects.values() if s.runtime == runtime]

    def of(self, subject: Kind) -> str:
        """``docker``, ``qemu-microvm (TCG)``, ``docker cold 64 MiB``."""
        words = [subject.runtime]
        for factor in self._varying.get(subject.runtime, ()):
            value = getattr(subject, factor)
            words.append(binary_size(value) if factor == "memory_bytes" else str(value))
        if subject.accelerator != "none":
            words.append(f"({subject.accelerator.upper()})")
        return " ".join(words)

    def series(self, subject: Kind) -> int:
        """The subject's place, from 0: the same colour in every chart, whatever the host."""
        order = list(self._subjects)
        identity = _without_host(subject)
        return order.index(identity) if identity in order else len(order)

    def all(self) -> list[tuple[int, str]]:
        """Every series with its name."""
        return [(index, self.of(s)) for index, s in enumerate(self._subjects.values())]


def _without_host(subject: Kind) -> Identity:
    return tuple(str(getattr(subject, f)) for f in ("runtime", "accelerator", *_FACTORS))


def kind_name(subject: Kind) -> str:
    """A subject by its runtime alone: ``qemu-microvm (TCG)``."""
    chip = "" if subject.accelerator == "none" else f" ({subject.accelerator.upper()})"
    return f"{subject.runtime}{chip}"


def same_kind(left: Kind, right: Kind) -> bool:
    """Whether two rows are about the same subject, whatever the hosts."""
    return _without_host(left) == _without_host(right)


def same_subject(left: Subject, right: Subject) -> bool:
    """Whether two rows are about the same subject on the same host."""
    return left.host == right.host and _without_host(left) == _without_host(right)


def some_of(hosts: Sequence[str], shown: int = 6) -> str:
    """``h1, h2 and h3``; of many the first ones, and how many more there are."""
    if len(hosts) > shown:
        return f"{', '.join(hosts[: shown - 1])} and {len(hosts) - shown + 1} more"
    if len(hosts) < 2:
        return "".join(hosts)
    return f"{', '.join(hosts[:-1])} and {hosts[-1]}"
