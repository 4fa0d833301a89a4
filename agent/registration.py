"""Makes the agent known to its collector, and keeps it known."""

from __future__ import annotations

import asyncio
import random
from dataclasses import dataclass

import grpc
import structlog

from agent.config import Address
from agent.runner.equipment import Equipment
from tonnage.v1 import collector_pb2, collector_pb2_grpc
from tonnage.wire import to_message

CALL_SECONDS = 10.0
_FIRST_PAUSE_SECONDS = 0.2
_LONGEST_PAUSE_SECONDS = 15.0
# A lease is renewed well before its end, so that one lost call does not cost it.
_RENEW_SHARE = 1 / 3

_log = structlog.get_logger("agent.registration")


@dataclass(frozen=True, slots=True)
class Addresses:
    """Where this agent serves."""

    listen: Address
    metrics: Address


async def keep_registered(collector: str, addresses: Addresses, equipment: Equipment) -> None:
    """Register and renew the lease, for ever; a collector that is down is waited for.

    Learns the collector's process, so that its CPU is not taken for foreign load.
    """
    pause, failed = _FIRST_PAUSE_SECONDS, False
    async with grpc.aio.insecure_channel(collector) as channel:
        stub = collector_pb2_grpc.CollectorServiceStub(channel)
        while True:
            try:
                lease_seconds = await _register(stub, addresses, equipment)
            except Exception as error:  # noqa: BLE001 (whatever it is, runs and instances live on)
                equipment.metrics.registered(False)
                if not failed:
                    reason = _reason(error)
                    _log.warning("cannot register, trying on", collector=collector, reason=reason)
                failed = True
                pause = min(pause * 2, _LONGEST_PAUSE_SECONDS)
                await asyncio.sleep(pause * random.uniform(0.5, 1.0))  # noqa: S311 (jitter)
            else:
                if failed or pause == _FIRST_PAUSE_SECONDS:
                    _log.info("registered", collector=collector, lease_seconds=lease_seconds)
                equipment.metrics.registered(True)
                failed, pause = False, _FIRST_PAUSE_SECONDS * 1.01
                await asyncio.sleep(max(lease_seconds * _RENEW_SHARE, 0.1))


def _reason(error: Exception) -> str:
    if isinstance(error, grpc.aio.AioRpcError):
        return f"{error.code().name.lower()}: {error.details()}"
    return f"{type(error).__name__}: {error}"


async def _register(
    stub: collector_pb2_grpc.CollectorServiceAsyncStub, addresses: Addresses, equipment: Equipment
) -> float:
    facts = await asyncio.to_thread(equipment.facts)
    found = await equipment.inventory.current()
    request = collector_pb2.RegisterRequest(
        facts=to_message(facts),
        address=str(addresses.listen),
        runtimes=[to_message(fingerprint) for fingerprint in found.values()],
        metrics_address=str(addresses.metrics),
    )
    response = await stub.Register(request, timeout=CALL_SECONDS)
    here = bool(facts.boot_id) and response.collector_boot_id == facts.boot_id
    equipment.observer.collector_is(response.collector_pid if here else None)
    return response.lease_seconds
