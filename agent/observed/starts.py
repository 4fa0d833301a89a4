"""How long containers of others took to start, from the engine's own events. Pure.

A start lasts from the engine's ``create`` event to the first ``start`` event of the same
container, by the timestamps that the engine gave them. ``create`` is told at the end of
the create call, ``start`` once the container's first process runs: the making of the
container's layer, and pulling, come before, and the workload's own way to readiness
after. What the caller let pass between its two calls is within.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Mapping
from typing import Any

import structlog

from agent.runtimes.docker.config import LABEL_AGENT

ACTIONS = ("create", "start", "destroy")

# Containers that were created and neither started nor removed: the oldest are forgotten.
_MOST_CREATED = 10_000
# The engine's own memory of events is 256 long: what it tells twice is among these.
_MOST_TOLD = 1024

_log = structlog.get_logger("agent.observed")


class Starts:
    """Takes events in any order of connections; each counts once, however often told."""

    def __init__(self, agent_id: str) -> None:
        """Containers with this agent's label are passed over."""
        self._agent_id = agent_id
        self._created_ns: OrderedDict[str, int] = OrderedDict()
        self._told: OrderedDict[tuple[str, str, int], None] = OrderedDict()
        self._latest_ns = 0

    def followed_anew(self) -> int:
        """When the latest event was, in Unix nanoseconds, or 0: what was since is to be told
        again.

        Containers that were created and not started by then count no more: their starts may
        be among what the engine has forgotten, and a later one would seem to have taken
        as long as nobody looked.
        """
        self._created_ns.clear()
        return self._latest_ns

    def take(self, event: Mapping[str, Any]) -> float | None:
        """The duration in seconds, if this event ends a start whose begin was seen.

        A container that is started again was not created for it, and counts nothing.
        """
        action, actor, at_ns = event.get("Action"), event.get("Actor"), event.get("timeNano")
        if action not in ACTIONS or not isinstance(actor, Mapping) or not isinstance(at_ns, int):
            return None
        container = str(actor.get("ID"))
        self._latest_ns = max(self._latest_ns, at_ns)
        attributes = actor.get("Attributes") or {}
        if attributes.get(LABEL_AGENT) == self._agent_id:
            return None
        if not self._is_news((container, action, at_ns)):
            return None
        if action == "create":
            self._created_ns[container] = at_ns
            if len(self._created_ns) > _MOST_CREATED:
                self._created_ns.popitem(last=False)
            return None
        created_ns = self._created_ns.pop(container, None)
        if action == "destroy" or created_ns is None:
            return None
        return _seconds(container, at_ns - created_ns)

    def _is_news(self, key: tuple[str, str, int]) -> bool:
        if key in self._told:
            return False
        self._told[key] = None
        if len(self._told) > _MOST_TOLD:
            self._told.popitem(last=False)
        return True


def _seconds(container: str, duration_ns: int) -> float | None:
    """The engine's timestamps are wall time: one set back in between tells nothing."""
    if duration_ns < 0:
        _log.warning(
            "the clock was set back during a start, which is not counted",
            container=container,
            duration_ns=duration_ns,
        )
        return None
    return duration_ns / 1e9
