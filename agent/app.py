"""The agent's composition root: the only place that wires its parts."""

from __future__ import annotations

import os

# Before grpc is imported: its fork handlers cost 20 ms for each VM we spawn.
os.environ["GRPC_ENABLE_FORK_SUPPORT"] = "0"
# And its C core writes to stderr what we say in a line of our own.
os.environ.setdefault("GRPC_VERBOSITY", "NONE")

import asyncio
import gc
import json
import resource
import sys
from collections.abc import Callable, Coroutine, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import AsyncExitStack
from typing import Any

import structlog

from agent import join
from agent.address import Addresses
from agent.config import AgentConfig
from agent.configure import load
from agent.ending import Ending, ending_on_signals
from agent.errors import InvalidInput, SpoolError, TonnageError
from agent.identity.renewal import keep_renewed, keep_told
from agent.identity.standing import Standing
from agent.listener import Listener
from agent.metrics_server import MetricsServer
from agent.opening import observing, open_parts, watch
from agent.recovery import recover
from agent.registration import keep_registered
from agent.runner.equipment import Equipment
from agent.runner.janitor import keep_tidy
from agent.runner.manual import Manual
from agent.runner.runs import Runs
from agent.server import AgentServicer
from tonnage.address import ip_address, place
from tonnage.dial import Dial
from tonnage.identity import Identity, Role
from tonnage.logs import log_to_stderr
from tonnage.systemd import report_ready
from tonnage.tls import TlsError

_log = structlog.get_logger("agent")

Work = Coroutine[Any, Any, Any]

# gRPC waits up to two minutes before it tries again, and that long a collector that is back
# would take its hosts for gone.
_CONNECTING = (("grpc.max_reconnect_backoff_ms", 5_000),)


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
    log_to_stderr(config.log_level)
    _allow_all_files()
    with ThreadPoolExecutor(2, "disk") as disk:
        asyncio.run(_serve_until_signalled(config, disk))


async def _serve_until_signalled(config: AgentConfig, disk: ThreadPoolExecutor) -> None:
    await serve(config, disk, ending_on_signals(), _announce)


def _allow_all_files() -> None:
    """Take every descriptor that the host grants: each VM holds three, each console one."""
    hard = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))


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
        equipment = await open_parts(config, disk, stack)
        runs, manual = Runs(equipment), Manual(equipment)
        standing = Standing.of(config.tls_dir)
        server = Listener(AgentServicer(equipment, runs, manual), standing.files, standing.revoked)
        # Bound before a run is touched: an agent that cannot serve must not go on with one.
        listening = server.bind(place(config.listen))
        metrics_server = _metrics_server(config, equipment, standing)
        stack.push_async_callback(asyncio.to_thread, metrics_server.close)
        await runs.resume(await recover(equipment, disk))
        watch(equipment, runs)
        await server.start()
        at = Addresses(listening, metrics_server.address, config.advertise)
        announce(at)
        gc.collect()
        gc.freeze()  # what lives now lives on: no collection walks it during a trial
        looking = observing(config, equipment, runs, stack)
        await _until(ending.asked, config, standing, at, equipment, runs, looking)
        await _drain(config, server, runs, manual, ending.hurried)


def _metrics_server(config: AgentConfig, equipment: Equipment, standing: Standing) -> MetricsServer:
    registry = equipment.metrics.registry
    if standing.folder:
        equipment.metrics.watch_certificates(standing.ends)
    at = ip_address(config.metrics)
    return MetricsServer(registry, at, standing.files, standing.scrapers)


async def _until(
    stopped: asyncio.Event,
    config: AgentConfig,
    standing: Standing,
    at: Addresses,
    equipment: Equipment,
    runs: Runs,
    more: Sequence[Work],
) -> None:
    """Tidy up, stay registered, with a certificate that is good, until told to stop."""
    collector = Identity(Role.COLLECTOR, "collector")
    dial = Dial(config.collector, collector, standing.files, _CONNECTING)
    work: list[Work] = [
        *more,
        equipment.inventory.keep_current(lambda: bool(runs.active_run_id)),
        keep_tidy(equipment, runs),
    ]
    if config.collector:
        work.append(keep_registered(dial, standing, at, equipment))
        if standing.folder:
            work.append(keep_renewed(standing.folder, config.name, dial))
    if standing.folder:
        work.append(keep_told(standing.folder))
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
    report_ready()


if __name__ == "__main__":
    main()
