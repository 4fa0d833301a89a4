"""The agent's composition root: the only place that wires its parts."""

from __future__ import annotations

import os

# Before grpc is imported: its fork handlers cost 20 ms for each VM we spawn.
os.environ["GRPC_ENABLE_FORK_SUPPORT"] = "0"
# And its C core writes to stderr what we say in a line of our own.
os.environ.setdefault("GRPC_VERBOSITY", "NONE")

import asyncio
import fcntl
import gc
import json
import logging
import resource
import signal
import sys
import uuid
from collections.abc import Callable, Coroutine, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import AsyncExitStack
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import structlog

from agent import join
from agent.address import Addresses, ip_address, place
from agent.config import AgentConfig
from agent.configure import load
from agent.errors import ConfigError, InvalidInput, SpoolError, TonnageError
from agent.facts import Identity, agent_version, read_facts
from agent.identity.renewal import keep_renewed
from agent.identity.standing import Standing
from agent.listener import Listener
from agent.metrics import Live, Metrics
from agent.metrics_server import MetricsServer
from agent.probes.base import Roots
from agent.recovery import recover
from agent.registration import keep_registered
from agent.runner.equipment import Equipment
from agent.runner.holdings import Holdings
from agent.runner.inventory import Inventory
from agent.runner.janitor import keep_tidy
from agent.runner.manual import Manual
from agent.runner.observer import Observer
from agent.runner.runs import Runs
from agent.runner.trials import Trials
from agent.runtimes.registry import RuntimeSettings, open_runtimes
from agent.server import AgentServicer
from agent.storage.journal import Journal
from agent.storage.spool import Spool
from tonnage.dial import Dial
from tonnage.identity import Identity as Peer
from tonnage.identity import Role
from tonnage.model import RuntimeState
from tonnage.tls import TlsError

_log = structlog.get_logger("agent")


def main(arguments: Sequence[str] | None = None) -> None:
    """Run the agent until it is told to stop, or, for ``join``, get it an identity.

    Exits 0 when that is done, 2 when it cannot be as things are, 1 when it failed.
    """
    words = list(sys.argv[1:] if arguments is None else arguments)
    try:
        if words[:1] == ["join"]:
            join.run(words[1:], os.environ)
        else:
            _run(load(words, os.environ))
    except KeyboardInterrupt:  # before the signals were ours
        sys.exit(130)
    except (TonnageError, TlsError) as error:
        sys.stderr.write(f"tonnage-agent: {error}\n")
        sys.exit(2 if isinstance(error, (InvalidInput, SpoolError, TlsError)) else 1)


def _run(config: AgentConfig) -> None:
    _log_to_stderr(config.log_level)
    _allow_all_files()
    with ThreadPoolExecutor(2, "disk") as disk:
        asyncio.run(_serve_until_signalled(config, disk))


async def _serve_until_signalled(config: AgentConfig, disk: ThreadPoolExecutor) -> None:
    await serve(config, disk, _ending_on_signals(), _announce)


def _allow_all_files() -> None:
    """Take every descriptor that the host grants: each VM holds three, each console one."""
    hard = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))


@dataclass(frozen=True, slots=True)
class Ending:
    """When the agent is to end, and when it is not to wait for anybody any more."""

    asked: asyncio.Event = field(default_factory=asyncio.Event)
    hurried: asyncio.Event = field(default_factory=asyncio.Event)


async def serve(
    config: AgentConfig,
    disk: ThreadPoolExecutor,
    ending: Ending,
    announce: Callable[[Addresses], None],
) -> None:
    """Start, say where by ``announce``, serve until asked to end, drain.

    On a graceful stop the active run is left as it stands, for the agent's next life
    to go on with, and every instance of this agent is removed, those launched by
    hand included: an agent that is not there can keep no promise about them.
    """
    async with AsyncExitStack() as stack:
        equipment = await _open(config, disk, stack)
        unfinished = await recover(equipment, disk)
        runs, manual = Runs(equipment), Manual(equipment)
        await runs.resume(unfinished)
        _watch(equipment, runs)
        standing = Standing.of(config.tls_dir)
        server = Listener(AgentServicer(equipment, runs, manual), standing.files, standing.revoked)
        metrics_server = MetricsServer(
            equipment.metrics.registry,
            ip_address(config.metrics),
            standing.files,
            standing.scrapers,
        )
        stack.callback(metrics_server.close)
        listening = await server.start(place(config.listen))
        at = Addresses(listening, metrics_server.address, config.advertise)
        announce(at)
        gc.collect()
        gc.freeze()  # what lives now lives on: no collection walks it during a trial
        await _until(ending.asked, config, standing, at, equipment, runs)
        await _drain(config, server, runs, manual, ending.hurried)


def _ending_on_signals() -> Ending:
    """Asked by the first signal, hurried by any after it."""
    ending = Ending()

    def told() -> None:
        (ending.hurried if ending.asked.is_set() else ending.asked).set()

    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, told)
    return ending


async def _until(
    stopped: asyncio.Event,
    config: AgentConfig,
    standing: Standing,
    at: Addresses,
    equipment: Equipment,
    runs: Runs,
) -> None:
    """Tidy up, stay registered, with a certificate that is good, until told to stop."""
    dial = Dial(config.collector, Peer(Role.COLLECTOR, "collector"), standing.files)
    work: list[Coroutine[Any, Any, Any]] = [
        equipment.inventory.current(),
        keep_tidy(equipment, runs),
    ]
    if config.collector:
        work.append(keep_registered(dial, standing, at, equipment))
        if standing.folder:
            work.append(keep_renewed(standing.folder, config.name, dial))
    try:
        async with asyncio.TaskGroup() as tasks:
            started = [tasks.create_task(one) for one in work]
            await stopped.wait()
            for task in started:
                task.cancel()
    finally:
        await dial.close()


async def _drain(
    config: AgentConfig, server: Listener, runs: Runs, manual: Manual, hurried: asyncio.Event
) -> None:
    _log.info("stopping: the run is left for the next start and every instance removed")
    await server.leave()
    await runs.suspend(config.drain_seconds)
    cleaning = await manual.drain()
    if cleaning.removed or cleaning.leaked:
        _log.info("cleaned", removed=len(cleaning.removed), leaked=cleaning.leaked)
    streams = asyncio.create_task(server.stop(config.drain_seconds))
    hurry = asyncio.create_task(hurried.wait())
    await asyncio.wait({streams, hurry}, return_when=asyncio.FIRST_COMPLETED)
    if not hurry.cancel():
        await server.stop(0)
    await streams


def _announce(at: Addresses) -> None:
    line = {"listening": str(at.listen), "metrics": str(at.metrics)}
    sys.stdout.write(json.dumps(line) + "\n")
    sys.stdout.flush()


async def _open(config: AgentConfig, disk: ThreadPoolExecutor, stack: AsyncExitStack) -> Equipment:
    agent_id = _own_data_dir(config.data_dir, stack)
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
        guest_dir=config.guest_dir,
        images_dir=config.images_dir,
    )


def _own_data_dir(folder: Path, stack: AsyncExitStack) -> str:
    """Take the data folder for this process alone; returns the agent's id in it.

    Raises ``ConfigError`` when it cannot be used or another agent uses it.
    """
    try:
        folder.mkdir(parents=True, exist_ok=True, mode=0o700)
        (folder / "runtimes").mkdir(exist_ok=True)
        lock = (folder / "lock").open("w")
        stack.callback(lock.close)
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        return _agent_id(folder / "agent-id")
    except BlockingIOError as error:
        raise _unusable(folder, "another agent uses it") from error
    except OSError as error:
        raise _unusable(folder, f"it cannot be used: {error.strerror}") from error


def _unusable(folder: Path, why: str) -> ConfigError:
    remedy = "Choose another folder with --data-dir."
    return ConfigError(why, field="data_dir", value=str(folder), remedy=remedy)


def _agent_id(path: Path) -> str:
    if path.exists():
        return path.read_text().strip()
    fresh = path.with_suffix(".new")
    fresh.write_text(f"{uuid.uuid4().hex[:16]}\n")
    fresh.replace(path)
    return path.read_text().strip()


def _watch(equipment: Equipment, runs: Runs) -> None:
    equipment.metrics.watch(
        Live(
            instances=lambda: [(h.entry.runtime, h.state) for h in equipment.holdings],
            pressure=equipment.observer.pressure,
            healthy=lambda: {
                name: found.state is RuntimeState.HEALTHY
                for name, found in equipment.inventory.found.items()
            },
            spool_bytes=lambda: equipment.spool.size_bytes,
            spool_pending=lambda: equipment.spool.pending,
            spool_full=lambda: (
                equipment.spool.full() is not None
                or equipment.journal.trouble is not None
                or any(log.trouble is not None for log in equipment.spool.runs)
            ),
            run_active=lambda: bool(runs.active_run_id),
        )
    )


def _log_to_stderr(level: str) -> None:
    """Lines for people on a terminal, JSON elsewhere."""
    tty = sys.stderr.isatty()
    render: structlog.types.Processor = (
        structlog.dev.ConsoleRenderer() if tty else structlog.processors.JSONRenderer()
    )
    errors = [] if tty else [structlog.processors.format_exc_info]
    structlog.configure(
        processors=[
            structlog.processors.add_log_level,
            structlog.processors.TimeStamper(fmt="iso", utc=True),
            *errors,
            render,
        ],
        wrapper_class=structlog.make_filtering_bound_logger(
            logging.getLevelNamesMapping()[level.upper()]
        ),
        logger_factory=structlog.WriteLoggerFactory(sys.stderr),
    )


if __name__ == "__main__":
    main()
