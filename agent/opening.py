"""Makes the parts of one agent from its configuration, and closes them again."""

from __future__ import annotations

import asyncio
from collections.abc import Coroutine
from concurrent.futures import Executor
from contextlib import AsyncExitStack
from pathlib import Path
from typing import Any

import structlog

from agent import guards
from agent.config import AgentConfig
from agent.facts import Identity, agent_version, read_facts
from agent.live import Live, Outbox
from agent.metrics import Metrics
from agent.probes.base import Roots
from agent.runner.equipment import Equipment
from agent.runner.holdings import Holdings
from agent.runner.inventory import Inventory
from agent.runner.observer import Observer
from agent.runner.runs import Runs
from agent.runner.trials import Trials
from agent.runtimes.registry import RuntimeSettings, engine_url, open_runtimes
from agent.storage.folder import own
from agent.storage.journal import Journal
from agent.storage.spool import Spool
from tonnage.model import RuntimeState

_log = structlog.get_logger("agent.opening")


async def open_parts(config: AgentConfig, disk: Executor, stack: AsyncExitStack) -> Equipment:
    """The parts, closed with ``stack``. Raises ``ConfigError``, ``SpoolError``.

    ``disk``: where spool and journal write.
    """
    agent_id = own(config.data_dir, stack)
    runtimes = {r.name: r for r in open_runtimes(config.runtimes, _settings(config, agent_id))}
    for runtime in runtimes.values():
        stack.push_async_callback(runtime.close)
    metrics = Metrics(agent_version(), runtimes)
    disks = [config.data_dir, *(Path(path) for path in config.guard_disk_paths)]
    observer = Observer(Roots(), disks, metrics.probe)
    spool = Spool(
        config.data_dir / "spool", config.spool_cap_bytes, config.spool_keep_seconds, disk
    )
    journal = Journal(config.data_dir / "journal.log", disk)
    stack.push_async_callback(journal.close)
    stack.push_async_callback(_close_spool, spool)
    holdings = Holdings()
    identity = Identity(config.name, agent_id, dict(config.labels))
    return Equipment(
        agent_id=agent_id,
        runtimes=runtimes,
        inventory=Inventory(runtimes),
        facts=lambda: read_facts(identity),
        spool=spool,
        journal=journal,
        holdings=holdings,
        trials=Trials(agent_id, runtimes, journal, holdings, observer),
        observer=observer,
        limits=config.limits,
        metrics=metrics,
        spool_patience_seconds=config.spool_patience_seconds,
        orphan_grace_seconds=config.orphan_grace_seconds,
        drop_caches=config.cold_drop_caches,
    )


async def _close_spool(spool: Spool) -> None:
    lost = await spool.close()
    if lost:
        _log.error("events could not be stored and are lost", events=lost)


def _settings(config: AgentConfig, agent_id: str) -> RuntimeSettings:
    return RuntimeSettings(
        agent_id=agent_id,
        state_dir=config.data_dir / "runtimes",
        docker_host=config.docker_host,
        podman_host=config.podman_host,
        containerd_address=config.containerd_address,
        guest_dir=config.guest_dir,
        guest_in_memory_bytes=config.guest_in_memory_bytes,
        images_dir=config.images_dir,
        image_cache_seconds=max(
            config.image_cache_seconds, config.guard_max_run_seconds + config.orphan_grace_seconds
        ),
    )


def watch(equipment: Equipment, runs: Runs) -> None:
    """Let the metrics see what goes on."""
    equipment.metrics.watch(
        Live(
            instances=lambda: [(h.entry.runtime, h.state) for h in equipment.holdings],
            instances_limit=equipment.limits.max_instances,
            pressure=equipment.observer.pressure,
            healthy=lambda: {
                name: found.state is RuntimeState.HEALTHY
                for name, found in equipment.inventory.found.items()
            },
            host=equipment.observer.host,
            outbox=lambda: _outbox(equipment),
            run_active=lambda: bool(runs.active_run_id),
        )
    )


def _outbox(equipment: Equipment) -> Outbox:
    spool = equipment.spool
    no_room = guards.check_disk(equipment.limits, equipment.observer.disk_free_bytes())
    troubled = equipment.journal.trouble is not None or any(run.trouble for run in spool.runs)
    return Outbox(
        size_bytes=spool.size_bytes,
        limit_bytes=spool.cap_bytes,
        pending_events=spool.pending,
        unacknowledged_events=spool.unacknowledged,
        full=troubled or spool.full() is not None or no_room is not None,
    )


def observing(
    config: AgentConfig, equipment: Equipment, runs: Runs, stack: AsyncExitStack
) -> list[Coroutine[Any, Any, None]]:
    """What looks for ever at what else runs on the host, if that is wanted; closed with
    ``stack``. Never while a run is at work or an instance starts."""
    if not config.observe:
        return []
    # Imported late: it needs the Docker SDK, which takes its time to load.
    from agent.observed.watching import Watch

    metrics = equipment.metrics
    url = engine_url(config.docker_host)
    watch = Watch(url, equipment.agent_id, metrics.registry, metrics.probe)
    stack.push_async_callback(asyncio.to_thread, watch.close)

    def busy() -> bool:
        starting = any(holding.state == "starting" for holding in equipment.holdings)
        return starting or bool(runs.active_run_id)

    return [watch.keep_looking(config.observe_interval_seconds, busy)]
