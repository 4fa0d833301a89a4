"""Makes the agent known to its collector, and keeps it known."""

from __future__ import annotations

import asyncio
import random
import time
from collections.abc import Callable

import grpc
import structlog

from agent.address import Addresses
from agent.identity.standing import Standing
from agent.runner.equipment import Equipment
from agent.storage.runlog import RunLog
from tonnage import PROTOCOL
from tonnage.dial import Dial
from tonnage.model import HostFacts
from tonnage.v1 import collector_pb2, collector_pb2_grpc
from tonnage.wire import to_message

CALL_SECONDS = 10.0
_FIRST_PAUSE_SECONDS = 0.2
_LONGEST_PAUSE_SECONDS = 15.0
# A lease is renewed well before its end, so that one lost call does not cost it.
_RENEW_SHARE = 1 / 3
_FACTS_SECONDS = 60.0

_log = structlog.get_logger("agent.registration")


class _Facts:
    """The host's facts for its entry in the inventory, read anew once a minute. A run's own
    are read as it begins."""

    def __init__(self, read: Callable[[], HostFacts]) -> None:
        self._read = read
        self._facts: HostFacts | None = None
        self._due = 0.0

    def now(self) -> HostFacts:
        """The facts. Blocking."""
        if self._facts is None or time.monotonic() >= self._due:
            self._facts, self._due = self._read(), time.monotonic() + _FACTS_SECONDS
        return self._facts


async def keep_registered(
    dial: Dial, standing: Standing, addresses: Addresses, equipment: Equipment
) -> None:
    """Register and renew the lease, for ever; a collector that is down is waited for.

    Learns the collector's process, so that its CPU is not taken for foreign load, and who
    may no longer call and who may read metrics. What keeps it from registering is logged
    once, and again when that changes.
    """
    collector, pause, known, trouble = dial.address, _FIRST_PAUSE_SECONDS, False, ""
    facts = _Facts(equipment.facts)
    while True:
        try:
            lease_seconds = await _register(dial, standing, addresses, equipment, facts)
        except Exception as error:  # noqa: BLE001 (whatever it is, runs and instances live on)
            equipment.metrics.registered(None)
            if (reason := _reason(error)) != trouble:
                _log.warning("cannot register, trying on", collector=collector, reason=reason)
            known, trouble = False, reason
            pause = min(pause * 2, _LONGEST_PAUSE_SECONDS)
            await asyncio.sleep(pause * random.uniform(0.5, 1.0))  # noqa: S311 (jitter)
        else:
            if not known:
                _log.info("registered", collector=collector, lease_seconds=lease_seconds)
            equipment.metrics.registered(time.time())
            known, trouble, pause = True, "", _FIRST_PAUSE_SECONDS
            await asyncio.sleep(max(lease_seconds * _RENEW_SHARE, 0.1))


def _reason(error: Exception) -> str:
    if isinstance(error, grpc.aio.AioRpcError):
        return f"{error.code().name.lower()}: {error.details()}"
    return f"{type(error).__name__}: {error}"


def _held(log: RunLog) -> collector_pb2.HeldRun:
    """A run of which the collector may not have all, as far as it is on disk."""
    ended = log.finished and log.pending == 0
    return collector_pb2.HeldRun(run_id=log.run_id, last_sequence=log.durable, finished=ended)


async def _register(
    dial: Dial, standing: Standing, addresses: Addresses, equipment: Equipment, known: _Facts
) -> float:
    found = await equipment.inventory.current()
    facts, (address, metrics) = await asyncio.to_thread(
        lambda: (known.now(), addresses.towards(dial.address))
    )
    request = collector_pb2.RegisterRequest(
        facts=to_message(facts),
        address=address,
        runtimes=[to_message(fingerprint) for fingerprint in found.values()],
        metrics_address=metrics,
        metrics_tls=standing.folder is not None,
        protocol=PROTOCOL,
        runs=[_held(log) for log in equipment.spool.runs if not log.settled],
    )
    stub = await dial.stub(collector_pb2_grpc.CollectorServiceStub)
    response = await stub.Register(request, timeout=CALL_SECONDS)
    # What is revoked stays so, whoever answers: a stolen certificate must not talk itself free.
    await asyncio.to_thread(_remember, standing, response)
    here = bool(facts.boot_id) and response.collector_boot_id == facts.boot_id
    equipment.observer.collector_is(response.collector_pid if here else None)
    return response.lease_seconds


def _remember(standing: Standing, response: collector_pb2.RegisterResponse) -> None:
    standing.revoked.add(response.revoked_serials)
    standing.scrapers.replace(response.scrape_token_sha256)
