"""An experiment without the targets whose runtime a host lacks. Pure."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from collector.errors import InvalidInput
from collector.spec import EXPERIMENTS, Spec
from tonnage.model import Fingerprint, RuntimeState


def without(spec: Spec, runtimes: Sequence[Fingerprint]) -> tuple[Spec, list[str]]:
    """Return the experiment with the targets that can run, and a notice for each other one.

    Raises ``InvalidInput`` when none can.
    """
    reasons = {r.runtime: r.reason for r in runtimes if r.state is not RuntimeState.HEALTHY}
    healthy = {r.runtime for r in runtimes if r.state is RuntimeState.HEALTHY}
    kept = tuple(entry for entry in spec.targets if entry.runtime in healthy)
    notices = [
        f"{entry.runtime} is left out: {reasons.get(entry.runtime, 'the agent does not offer it')}"
        for entry in spec.targets
        if entry.runtime not in healthy
    ]
    if not notices:
        return spec, []
    if not kept:
        message = "no runtime of the experiment can be used on this host"
        raise InvalidInput(message, remedy="\n  ".join(["Mend one of these:", *notices]))
    return _trimmed(spec.model_copy(update={"targets": kept})), notices


def _trimmed(spec: Spec) -> Spec:
    """The experiment without names of targets that are gone."""
    targets = spec.combinations()
    changes: dict[str, Any] = {}
    for key in EXPERIMENTS:
        experiment = getattr(spec, key)
        if experiment is not None:
            tweaks = {
                name: tweak
                for name, tweak in experiment.per_target.items()
                if any(target.called(name) for target in targets)
            }
            changes[key] = experiment.model_copy(update={"per_target": tweaks})
    baseline = spec.compare.baseline
    if baseline is not None and not any(target.called(baseline) for target in targets):
        changes["compare"] = spec.compare.model_copy(update={"baseline": None})
    return spec.model_copy(update=changes)
