"""What was measured: each gauge holds the latest finished run of its subject until the
next, with its age beside it."""

from __future__ import annotations

import time
from collections import OrderedDict
from collections.abc import Callable, Iterable

from prometheus_client.core import GaugeMetricFamily, Metric
from prometheus_client.registry import Collector

from collector.metrics.readings import EXPERIMENTS, FAMILIES, SUBJECT, Labels, Values
from collector.reports.model import Result

MOST_SUBJECTS = 6000
"""Subjects, each counted once an experiment; beyond, those published longest ago go."""

_AGE = "tonnage_result_age_seconds"


class LatestResults(Collector):
    """The latest finished run of each subject; a result replaces its subject's gauges
    of the same experiment only. Published in one thread, read in any."""

    def __init__(
        self, clock: Callable[[], float] = time.time, most_subjects: int = MOST_SUBJECTS
    ) -> None:
        self._clock = clock
        self._most_subjects = most_subjects
        self._held: OrderedDict[tuple[str, Labels], tuple[float, Values]] = OrderedDict()

    def publish(self, result: Result) -> None:
        """Take in a finished run's result; older ones of the same subjects give way."""
        finished = result.run.finished_at
        at = self._clock() if finished is None else finished.timestamp()
        held = OrderedDict(self._held)
        for experiment, read in EXPERIMENTS.items():
            for subject, values in read(result).items():
                key = (experiment, subject)
                if key not in held or held[key][0] <= at:
                    held[key] = (at, values)
                    held.move_to_end(key)
        while len(held) > self._most_subjects:
            held.popitem(last=False)
        self._held = held

    def collect(self) -> Iterable[Metric]:
        """See ``Collector``."""
        held, now = self._held, self._clock()
        families = {
            name: GaugeMetricFamily(name, text, labels=labels) for name, text, labels in FAMILIES
        }
        for _, values in held.values():
            for (name, labels), value in values.items():
                families[name].add_metric(labels, value)
        age = GaugeMetricFamily(
            _AGE, "Age of the subject's latest result.", labels=(*SUBJECT, "experiment")
        )
        for (experiment, subject), (at, _) in held.items():
            age.add_metric((*subject, experiment), max(0.0, now - at))
        return [*families.values(), age]
