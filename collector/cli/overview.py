"""Where a run stands on many hosts: counts, and the few that a person should look at. Pure."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence

from collector.views import HostProgress, Progress
from tonnage.model import RunState

# With more hosts than this there is no line for each.
FEW = 8
_SHOWN = 4
_ORDER = (
    RunState.PENDING,
    RunState.RUNNING,
    RunState.FINISHED,
    RunState.PARTIAL,
    RunState.FAILED,
    RunState.CANCELLED,
)
_WORDS = {RunState.PENDING: "getting ready"}


def in_line(progress: Progress) -> bool:
    """Whether the run has not begun on any host, as others are before it."""
    return bool(progress.behind) and not any(h.state is RunState.RUNNING for h in progress.hosts)


def counts(progress: Progress) -> str:
    """How many hosts are in each state, and the trials of all, in one line."""
    found = Counter(host.state for host in progress.hosts)
    states = [f"{found[s]} {_WORDS.get(s, s)}" for s in _ORDER if found[s]]
    ready = sum(host.ready for host in progress.hosts)
    failed = sum(host.failed for host in progress.hosts)
    trials = f"{ready} trials ready" + (f", {failed} failed" if failed else "")
    return f"{len(progress.hosts)} hosts: {', '.join(states)}; {trials}"


def share(host: HostProgress) -> float:
    """How much of its plan a host has done, 0 to 1: stages, the current one by its trials."""
    if host.state.ended:
        return 1.0
    if not host.stages_total:
        return 0.0
    current = host.trials_done / host.trials_expected if host.trials_expected else 0.0
    return min((host.stages_done + min(current, 1.0)) / host.stages_total, 1.0)


def noteworthy(progress: Progress) -> Sequence[HostProgress]:
    """The hosts with most failures, then the slowest of those at work; a few of each."""
    failing = sorted(filter(_fails, progress.hosts), key=lambda host: (-host.failed, host.host))
    at_work = [host for host in progress.hosts if not host.state.ended]
    slowest = sorted(at_work, key=lambda host: (share(host), host.host))
    chosen = {host.host: host for host in (*failing[:_SHOWN], *slowest[:_SHOWN])}
    return tuple(chosen.values())


def _fails(host: HostProgress) -> bool:
    return host.failed > 0 or host.state in (RunState.FAILED, RunState.PARTIAL)
