"""What runs hold that bears on the claims: results, and the trials behind them."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from collector.claims.classes import CONTAINERS, class_of
from collector.claims.model import Class
from collector.reports.export import SUBJECT
from collector.reports.model import Result, Subject

SECOND = 1e9


@dataclass(frozen=True, slots=True)
class Seen:
    """One run; ``trials`` are rows as ``collector.reports.export.rows`` gives them."""

    result: Result
    trials: Sequence[Mapping[str, Any]]


@dataclass(frozen=True, slots=True)
class Tried:
    """Every measured start of one subject in one run, at its lowest concurrency.

    Of a trial that was made again only the last attempt is here.
    """

    subject: Subject
    runtime_class: Class
    trials: Sequence[Mapping[str, Any]]
    seed: int

    @property
    def ready(self) -> list[Mapping[str, Any]]:
        """The trials that became ready."""
        return [trial for trial in self.trials if trial["outcome"] == "ready"]

    @property
    def refused(self) -> list[Mapping[str, Any]]:
        """The trials that failed or timed out."""
        return [trial for trial in self.trials if trial["outcome"] in ("failed", "timed_out")]

    @property
    def ended(self) -> list[Mapping[str, Any]]:
        """The trials that were made to their end: neither cancelled nor interrupted."""
        return [*self.ready, *self.refused]

    @property
    def seconds(self) -> list[float]:
        """Request to ready, of the ready ones."""
        return [trial["ready_ns"] / SECOND for trial in self.ready]

    @property
    def is_container(self) -> bool:
        """Whether it is a container, sandboxed or not."""
        return self.runtime_class in CONTAINERS


def tried(runs: Iterable[Seen]) -> Iterator[Tried]:
    """The starts of every subject of a class that the lesson knows, run by run."""
    for run in runs:
        for subject, trials in _by_subject(run.trials).items():
            runtime_class = class_of(subject)
            if runtime_class is not None:
                yield Tried(subject, runtime_class, _lowest(trials), run.result.run.seed)


def _by_subject(trials: Iterable[Mapping[str, Any]]) -> dict[Subject, list[Mapping[str, Any]]]:
    found: dict[Subject, dict[object, Mapping[str, Any]]] = {}
    for trial in trials:
        if trial["population"] == "measured":
            last = found.setdefault(Subject(**{name: trial[name] for name in SUBJECT}), {})
            known = last.get(trial["trial"])
            if known is None or known["attempt"] < trial["attempt"]:
                last[trial["trial"]] = trial
    return {subject: list(last.values()) for subject, last in found.items()}


def _lowest(trials: Sequence[Mapping[str, Any]]) -> list[Mapping[str, Any]]:
    level = min(trial["concurrency"] for trial in trials)
    return [trial for trial in trials if trial["concurrency"] == level]
