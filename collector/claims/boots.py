"""C6's evidence in words: cold beside warm starts, and what a whole machine's start spends."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import numpy as np

from collector.claims.seen import SECOND, Seen, Tried, tried
from collector.reports import figures
from collector.stats.compare import compare

FIRMWARE = "firmware"
"""The variant of a VM runtime that starts as a physical machine does, boot loader included."""


def told(runs: Sequence[Seen]) -> list[str]:
    """A sentence for each subject that one run started cold and warm, and each by firmware."""
    return [text for run in runs for text in _of_run(list(tried([run])), run.result.run.name)]


def _of_run(found: Sequence[Tried], name: str) -> Iterator[str]:
    warm = {_whatever_mode(each): each for each in found if each.subject.mode == "warm"}
    for each in found:
        beside = warm.get(_whatever_mode(each))
        if each.subject.mode == "cold" and beside is not None:
            yield f"{each.subject.runtime}, {name}: {_cold(each, beside)}."
        if each.subject.variant == FIRMWARE and each.ready:
            yield f"{each.subject.runtime} by firmware, {name}: {_whole(each)}."


def _whatever_mode(of: Tried) -> object:
    return tuple(of.subject.model_copy(update={"mode": "warm"}).model_dump().values())


def _cold(cold: Tried, warm: Tried) -> str:
    """One run's cold starts against the same run's warm ones: runs differ from each other."""
    found = compare(
        warm.seconds,
        cold.seconds,
        seed=cold.seed,
        missing_baseline=len(warm.refused),
        missing_candidate=len(cold.refused),
    )
    if found.ratio is None:
        return f"cold and warm starts are not compared: {found.reason.rstrip('.')}"
    medians = [figures.seconds(float(np.median(side.seconds))) for side in (cold, warm)]
    ratio = f"{figures.times(found.ratio)} ({figures.times_span(found.interval)})"
    counts = f"{len(cold.seconds)} and {len(warm.seconds)} starts of one run"
    return f"cold {medians[0]}, warm {medians[1]}, {ratio}, by {counts}"


def _whole(of: Tried) -> str:
    """The median start, and of it what passes before the kernel's first mark."""
    counted = f"{len(of.ready)} starts, median {_median(of.seconds)}"
    before = [
        (trial["kernel_ns"] - trial["created_ns"]) / SECOND
        for trial in of.ready
        if trial["kernel_ns"] is not None and trial["created_ns"] is not None
    ]
    if not before:
        return f"{counted}, of which the firmware's share was not told"
    return f"{counted}, of which firmware and boot loader take {_median(before)}"


def _median(seconds: Sequence[float]) -> str:
    return figures.seconds(float(np.median(seconds)))
