"""The collector's composition root: the only place that wires its parts."""

from __future__ import annotations

import os

# Before grpc is imported: nothing here forks, and its handlers cost. What its
# core would write to stderr is raised as well, and told in our own words.
os.environ.setdefault("GRPC_ENABLE_FORK_SUPPORT", "0")
os.environ.setdefault("GRPC_VERBOSITY", "NONE")

import asyncio
import gc
import json
import signal
import sys
from collections.abc import Coroutine, Mapping, Sequence
from contextlib import AsyncExitStack
from datetime import timedelta
from functools import partial
from typing import Any

import structlog

from collector.agents import Agent
from collector.conductor.conductor import Conductor
from collector.conductor.patience import Patience
from collector.config import CollectorConfig, load
from collector.errors import ExitCode, TonnageError
from collector.fleet import Fleet, Keeper
from collector.metrics import MOST_HOSTS, Metrics
from collector.pki.folder import PkiFolder
from collector.server import discovery
from collector.server.calls import CollectorServicer, Parts
from collector.server.counting import CallCount
from collector.server.expiry import Expiry
from collector.server.http import HttpServer, application
from collector.server.listener import Listener
from collector.server.outcomes import Outcomes
from collector.server.publisher import Publisher
from collector.server.retention import Retention
from collector.server.security import Security, Settings
from collector.server.stocktaking import Stocktaking
from collector.server.submission import Submission
from collector.stores.base import Store
from collector.stores.migrate import schema_revision
from collector.stores.open import open_store
from collector.stores.watched import watched
from tonnage import __version__
from tonnage.logs import log_to_stderr
from tonnage.systemd import report_ready

_log = structlog.get_logger(__name__)


# Connections to a thousand hosts are a million objects that live long: looking through all
# of them at the interpreter's own pace took an eighth of the time in which a run began.
_GARBAGE_EVERY = 20_000


def main(arguments: Sequence[str] | None = None) -> int:
    """Serve until told to stop; the exit code. Errors are one line on stderr."""
    try:
        config = load(sys.argv[1:] if arguments is None else arguments)
        log_to_stderr(config.log_level)
        gc.set_threshold(_GARBAGE_EVERY, 20, 50)
        asyncio.run(serve(config))
    except TonnageError as error:
        sys.stderr.write(f"tonnage collector: {error}\n")
        return int(error.exit_code)
    return int(ExitCode.DONE)


async def serve(config: CollectorConfig) -> None:
    """Open everything, say where, serve until SIGTERM or SIGINT, drain."""
    stop = asyncio.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(number, stop.set)
    async with AsyncExitStack() as stack:
        metrics = Metrics(__version__, schema_revision())
        store = watched(await open_store(config.store), metrics.store_failed)
        stack.push_async_callback(store.close)
        outcomes, stock = Outcomes(store), Stocktaking(store)
        publisher, keeper = Publisher(metrics, store, outcomes), Keeper(store, config.lease)
        fleet = await _fleet(config, keeper, stack)
        security = await _security(config, store, fleet, stack)
        retention = Retention(store, outcomes, security.audit, config.retention_days)
        inside = (CallCount(metrics.commanded), *security.interceptors)
        listener = Listener(config.grpc_address, security.tls, inside)
        http = stack.enter_context(_http(config, metrics, listener, fleet, security))
        conductor = Conductor(store, fleet, _patience(config), publisher)
        _watch(metrics, fleet, conductor, security)
        metrics.watch_store(lambda: stock.kept)
        await stack.enter_async_context(conductor)
        parts = Parts(
            store=store,
            fleet=fleet,
            conductor=conductor,
            submission=Submission(fleet, conductor),
            outcomes=outcomes,
            retention=retention,
            access=security,
            enrolment=security.enrolment,
            revoking=security.revoking,
            audit=security.audit,
        )
        await listener.start(CollectorServicer(parts))
        security.listens_at(listener.address, http.address)
        _announce(str(listener.address), str(http.address))
        revoked = security.revoking.keep_up(fleet.bar)
        await _until(stop, publisher.run(), keeper.run(), stock.run(), retention.run(), revoked)
        _log.info("draining")
        conductor.close_watches()
        await listener.stop(config.drain)


async def _fleet(config: CollectorConfig, keeper: Keeper, stack: AsyncExitStack) -> Fleet:
    """The inventory as an earlier collector left it."""
    folder = _folder(config)
    dial = partial(Agent, tls=folder.tls_files if folder else None)
    fleet = Fleet(config.lease, config.lost_after, keeper=keeper, dial=dial)
    stack.push_async_callback(fleet.close)
    await fleet.restore()
    return fleet


async def _security(
    config: CollectorConfig, store: Store, fleet: Fleet, stack: AsyncExitStack
) -> Security:
    """Who gets in, and whom not to dial."""
    life = timedelta(seconds=config.certificate_life)
    settings = Settings(folder=_folder(config), life=life, advertise=config.advertise)
    security = await Security.open(store, settings, lambda name: _is_live(fleet, name))
    await fleet.bar(await security.revoking.shut_out())
    return await stack.enter_async_context(security)


def _http(
    config: CollectorConfig, metrics: Metrics, listener: Listener, fleet: Fleet, security: Security
) -> HttpServer:
    """The HTTP listener; ``with`` it."""
    pages = {discovery.PATH: discovery.page(fleet)}
    app = application(metrics.registry, lambda: listener.serving, security.door, pages)
    return HttpServer(app, config.http_address, security.https())


def _watch(metrics: Metrics, fleet: Fleet, conductor: Conductor, security: Security) -> None:
    """Let the metrics ask for what changes by itself."""
    metrics.watch(fleet.leases, lambda: _runs(conductor))
    expiry = security.expiry
    if expiry is not None:
        metrics.watch_certificates(expiry.timestamps, lambda: _ends_of_known(fleet, expiry))


async def _until(stop: asyncio.Event, *standing: Coroutine[Any, Any, None]) -> None:
    """Do the standing work until told to stop."""
    async with asyncio.TaskGroup() as group:
        tasks = [group.create_task(work) for work in standing]
        await stop.wait()
        for task in tasks:
            task.cancel()


def _announce(listening: str, http: str) -> None:
    sys.stdout.write(json.dumps({"listening": listening, "http": http}) + "\n")
    sys.stdout.flush()
    report_ready()


def _folder(config: CollectorConfig) -> PkiFolder | None:
    return PkiFolder(config.tls_dir) if config.tls_dir else None


def _is_live(fleet: Fleet, name: str) -> bool:
    """Whether a host of that name is up, as far as is known; case tells none apart."""
    return any(
        host.facts.host.lower() == name.lower() and host.state != "lost" for host in fleet.hosts()
    )


def _patience(config: CollectorConfig) -> Patience:
    return Patience(
        lost_after=config.lost_after,
        cancelled_after=config.cancelled_after,
        busy_after=config.busy_after,
    )


def _ends_of_known(fleet: Fleet, expiry: Expiry) -> Mapping[str, float]:
    """Of hosts that were forgotten, nothing."""
    ends, known = expiry.hosts, (lease.host for lease in fleet.leases()[:MOST_HOSTS])
    return {host: ends[host] for host in known if host in ends}


def _runs(conductor: Conductor) -> Mapping[str, int]:
    return {state.value: count for state, count in conductor.active().items()}


if __name__ == "__main__":
    sys.exit(main())
