"""Cautions about hosts as a set: lost ones, resumed ones, and those unlike the rest."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from collector.model import RunData
from collector.reports import figures
from collector.reports.merged import Merged, MergedFootprintRow, MergedStartupRow
from collector.reports.names import kind_name, some_of
from collector.results.groups import by_subject
from collector.results.startup import StartupSample
from collector.results.subjects import Subjects, measured_hosts, name
from collector.results.told import Told
from collector.stats.hosts import too_few_hosts
from tonnage.model import RunResumed, RunState

MOSTLY = 2 / 3
"""A host with a greater share of the ready starts than this outweighs all the others."""


def of_partial(data: RunData) -> Iterator[Told]:
    """Which hosts of several did not come to their end, and which measured nothing."""
    if len(data.hosts) < 2 or not data.run.state.ended:
        return
    names = sorted(host.host for host in data.hosts)
    short = sorted(h.host for h in data.hosts if h.state is not RunState.FINISHED)
    measured = measured_hosts(data)
    idle = [host for host in names if host not in measured]
    if short:
        done = len(names) - len(short)
        left = [host for host in short if host in measured]
        kept = f", and the figures hold what {_they(left)} left" if left else ""
        yield Told(
            f"{done} of {len(names)} hosts came to the end of their plan; "
            f"{some_of(short)} did not{kept}."
        )
    if idle:
        yield Told(f"{some_of(idle)} measured nothing and {_is(idle)} in no figure.")


def _is(names: Sequence[str]) -> str:
    return "is" if len(names) == 1 else "are"


def _they(names: Sequence[str]) -> str:
    return "it" if len(names) == 1 else "they"


def of_resumptions(data: RunData) -> Iterator[Told]:
    """How often a host went on with the run after an interruption."""
    resumed: dict[str, list[RunResumed]] = {}
    for row in data.facts:
        if isinstance(row.fact, RunResumed):
            resumed.setdefault(row.host, []).append(row.fact)
    for host, facts in resumed.items():
        reasons = "; ".join(dict.fromkeys(fact.reason.rstrip(".") for fact in facts))
        rest = f": the run was interrupted and resumed {_times(len(facts))}, {_boots(facts)}"
        yield Told(f"{rest}: {reasons}." if reasons else f"{rest}.", host)


def _times(n: int) -> str:
    return {1: "once", 2: "twice"}.get(n, f"{n} times")


def _boots(facts: Sequence[RunResumed]) -> str:
    boots = sum(fact.rebooted for fact in facts)
    if not boots:
        return "without a reboot"
    return "after a reboot" if len(facts) == 1 else f"{_times(boots)} after a reboot"


def of_merged(merged: Merged) -> Iterator[Told]:
    """Hosts too few to be merged, or further from the rest than their own intervals allow."""
    if merged.hosts and (reason := too_few_hosts(merged.hosts)):
        yield Told(f"{reason[:-1]}: what is said over all of them has no interval.")
    for start in merged.startup:
        if start.odd_hosts and start.host_p50_seconds:
            yield Told(_odd_starts(start))
    for cost in merged.footprint:
        if cost.odd_hosts and cost.host_bytes:
            yield Told(_odd_costs(cost))
    for row in merged.comparisons:
        if row.odd_hosts and row.host_ratios and row.metric == "startup.total":
            pair = f"{kind_name(row.candidate)} against {kind_name(row.baseline)}"
            level = f", {row.concurrency} in flight" if row.concurrency else ""
            yield Told(
                f"{pair}{level}: the hosts' own ratios, {figures.times_span(row.host_ratios)}, "
                f"disagree more than their intervals allow: {_named(row.odd_hosts, row.hosts)}."
            )


def of_unequal(samples: Sequence[StartupSample], subjects: Subjects) -> Iterator[Told]:
    """Where merged quantiles are of several hosts by name, and of one by weight."""
    for group in by_subject(samples, subjects, lambda sample: sample.concurrency).values():
        counts = {sample.key.host: len(sample.seconds("total")) for sample in group}
        host, most = max(counts.items(), key=lambda item: item[1])
        together = sum(counts.values())
        if MOSTLY * together < most < together:
            yield Told(
                f"{name(subjects, group[0].key)}, {group[0].concurrency} in flight: "
                f"{most} of {together} ready starts are of {host}, "
                "so the merged quantiles are mostly its own."
            )


def _odd_starts(row: MergedStartupRow) -> str:
    least, _, most = row.host_p50_seconds or (0.0, 0.0, 0.0)
    return (
        f"{kind_name(row)}, {row.concurrency} in flight: the hosts' medians, "
        f"{figures.seconds_span((least, most))}, disagree more than their intervals allow: "
        f"{_named(row.odd_hosts, row.hosts)}. The merged figures are of a mixture."
    )


def _odd_costs(row: MergedFootprintRow) -> str:
    return (
        f"{kind_name(row)}: what one more instance costs by {row.estimator}, "
        f"{figures.size_span(row.host_bytes)}, differs between hosts by more than their "
        f"intervals allow: {_named(row.odd_hosts, row.hosts)}."
    )


def _named(odd: Sequence[str], hosts: int) -> str:
    """The odd hosts; where they are most of all, that there is no middle."""
    if len(odd) == hosts:
        return f"no host lies near the middle ({some_of(odd)})"
    verb = "stands" if len(odd) == 1 else "stand"
    return f"{some_of(odd)} {verb} apart"
