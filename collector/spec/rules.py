"""What must hold between the parts of an experiment file.

Each rule raises ``PydanticCustomError`` with what is wrong, the way out, and where it is.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from pydantic_core import PydanticCustomError

from collector.spec.combinations import Combination, expand, tweaked
from tonnage.model import Mode

if TYPE_CHECKING:
    from collector.spec.document import Spec

EXPERIMENTS = ("startup", "density", "footprint", "churn", "isolation", "memory_floor")


def check(spec: Spec) -> None:
    """Every rule, the first that is broken first."""
    for rule in (_measures, _workloads, _unique, _names, _cold_alone, _asked, _limited):
        rule(spec)


def _wrong(message: str, remedy: str, *at: str | int) -> PydanticCustomError:
    return PydanticCustomError(
        "inconsistent", "{text}", {"text": message, "remedy": remedy, "at": at}
    )


def _measures(spec: Spec) -> None:
    if all(getattr(spec, name) is None for name in EXPERIMENTS):
        remedy = f"Add {', '.join(EXPERIMENTS[:-1])} or {EXPERIMENTS[-1]}."
        raise _wrong("the experiment measures nothing", remedy)


def _workloads(spec: Spec) -> None:
    if (spec.workload is None) == (not spec.workloads):
        raise _wrong("needs either workload or workloads", "Describe what every instance runs.")
    for index, entry in enumerate(spec.targets):
        if spec.workloads and not entry.workload:
            remedy = f"Choose from {', '.join(spec.workloads)}."
            raise _wrong("this target chooses no workload", remedy, "targets", index)
        for name in entry.workload:
            if name not in spec.workloads:
                known = ", ".join(spec.workloads) or "none: remove this line to use workload"
                text = f"no workload is called {name}"
                raise _wrong(text, f"Known: {known}.", "targets", index, "workload")


def _cold_alone(spec: Spec) -> None:
    """A cold start needs a host that reads none of its files at the same time."""
    for index, entry in enumerate(spec.targets):
        if Mode.COLD not in entry.mode:
            continue
        remedy = "Leave mode cold to a file of its own, with startup alone and concurrency: 1."
        for part in EXPERIMENTS[1:]:
            if getattr(spec, part) is not None:
                text = f"mode cold is for startup alone, and the file asks for {part} too"
                raise _wrong(text, remedy, "targets", index, "mode")
        if spec.startup is not None and max(spec.startup.concurrency) > 1:
            text = "cold starts are made one at a time"
            raise _wrong(text, remedy, "startup", "concurrency")


def _unique(spec: Spec) -> None:
    seen: set[str] = set()
    for index, entry in enumerate(spec.targets):
        for target in expand(entry):
            if target.id in seen:
                text = f"two targets are called {target.id}"
                raise _wrong(text, "Give one of them a name.", "targets", index)
            seen.add(target.id)


def _asked(spec: Spec) -> None:
    """Isolation asks on the console, which is open where a health check uses it."""
    described = [("workloads", name, each) for name, each in spec.workloads.items()]
    if spec.workload is not None:
        described.append(("workload", "", spec.workload))
    for key, name, each in described if spec.isolation is not None else ():
        if each.health is None or each.health.console is None:
            remedy = (
                "Use tonnage/idle:1, or a workload that answers mark NAME and facts as it does,"
                " with health: {console: {ask: ping, answer: pong}}."
            )
            text = "isolation cannot ask this workload what it sees: it has no console check"
            raise _wrong(text, remedy, *((key, name) if name else (key,)))


def _limited(spec: Spec) -> None:
    """Under a hard limit starts side by side would hold their peaks at once."""
    if spec.density is None:
        return
    for target in spec.combinations():
        density = tweaked(spec.density, spec.density.per_target, target)
        if density.memory_limit is not None and density.concurrency > 1:
            text = f"{target.id} has a memory_limit: its instances are launched one after another"
            raise _wrong(text, "Set concurrency: 1 for it.", "density", "concurrency")


def _names(spec: Spec) -> None:
    targets = spec.combinations()
    for key in EXPERIMENTS:
        for name in getattr(getattr(spec, key), "per_target", ()):
            _known(name, targets, key, "per_target", name)
    if spec.compare.baseline is not None:
        matches = _known(spec.compare.baseline, targets, "compare", "baseline")
        if len(matches) > 1:
            remedy = f"Choose one of {', '.join(target.id for target in matches)}."
            text = f"{spec.compare.baseline} means {len(matches)} targets"
            raise _wrong(text, remedy, "compare", "baseline")


def _known(name: str, targets: tuple[Combination, ...], *at: str) -> list[Combination]:
    matches = [target for target in targets if target.called(name)]
    if not matches:
        known = ", ".join(target.id for target in targets)
        raise _wrong(f"no target is called {name}", f"Known: {known}.", *at)
    return matches
