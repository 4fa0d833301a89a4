"""What a run works with, wired once by ``agent.app``."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

from agent.clock import BootClock
from agent.guards import HostState, Limits
from agent.metrics import Metrics
from agent.runner.holdings import Holdings
from agent.runner.inventory import Inventory
from agent.runner.observer import Observer
from agent.runner.trials import Trials
from agent.runtimes.base import Runtime
from agent.storage.journal import Journal
from agent.storage.spool import Spool
from tonnage.model import HostFacts, Plan


@dataclass(frozen=True, slots=True)
class Equipment:
    """The parts of one agent. ``facts`` reads the host's facts; blocking.

    ``unswept``: plans of ended runs of which something survived, or may have.
    """

    agent_id: str
    runtimes: Mapping[str, Runtime]
    inventory: Inventory
    facts: Callable[[], HostFacts]
    spool: Spool
    journal: Journal
    holdings: Holdings
    trials: Trials
    observer: Observer
    limits: Limits
    metrics: Metrics
    clock: BootClock = field(default_factory=BootClock.of_this_host)
    spool_patience_seconds: float = 60.0
    orphan_grace_seconds: float = 600.0
    drop_caches: bool = False
    unswept: dict[str, Plan] = field(default_factory=dict)

    def state(self, used_seconds: float) -> HostState:
        """What the guards look at before a launch of a run that was at work so long."""
        reserved = self.trials.reserve.total_bytes()
        return self.observer.state(len(self.holdings), used_seconds, reserved)
