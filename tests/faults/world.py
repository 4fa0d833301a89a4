"""A collector and its agents as processes on loopback, which a fault may end at any time."""

from __future__ import annotations

import random
import socket
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from pathlib import Path

from collector.client import Client
from deploy.programs import Program, module
from tests.proof import Proof, prove

_NOT_EPHEMERAL = (20_000, 32_000)
_GUARDS = ("--guard-memory-headroom-bytes", "1", "--guard-disk-headroom-bytes", "1")


class World:
    """``programs`` by name: ``collector``, and each agent by its host's name."""

    def __init__(
        self, folder: Path, collector: Program, agents: Mapping[str, Program], store: str = ""
    ) -> None:
        """``store`` is the address of a database, if it is not a file in ``folder``."""
        self.folder = folder
        self._database = store
        self.collector = collector
        self.agents = agents

    @property
    def programs(self) -> dict[str, Program]:
        """All of them."""
        return {"collector": self.collector, **self.agents}

    @property
    def store(self) -> Path:
        """The collector's database, where that is a file."""
        return self.folder / "store" / "tonnage.db"

    def client(self) -> Client:
        """A client of the collector; a context manager."""
        return Client(self.collector.where["listening"])

    def prove(self, run_id: str, host: str, planned: int) -> Proof:
        """What is wrong with the host's part of a run that has ended."""
        spool = self.folder / host / "spool" / run_id / "events.log"
        return prove(self._database or self.store, spool, (run_id, host), planned)

    def fakes(self) -> list[Path]:
        """The durable fake instances that exist: files that outlive their agent."""
        return [path for host in self.agents for path in self._fakes(host).glob("*.json")]

    def _fakes(self, host: str) -> Path:
        return self.folder / host / "runtimes" / "fake"


@asynccontextmanager
async def world(
    folder: Path,
    hosts: Sequence[str],
    *,
    runtimes: str = "fake",
    collector_flags: Sequence[str] = (),
    agent_flags: Sequence[str] = (),
    lease: str = "2",
    before: Sequence[str] = (),
    store: str = "",
) -> AsyncIterator[World]:
    """Start all of it; kill what still runs at the end. ``before``: what each is run through;
    ``store``: the address of a database, if it is not to be a file in ``folder``."""
    folder.mkdir(parents=True, exist_ok=True)  # noqa: ASYNC240 - before anything runs
    kept = ("--store", store or str(folder / "store"))
    collector = _collector(folder, (*kept, "--lease", lease, *collector_flags), before)
    flags = (*("--runtimes", runtimes), *_GUARDS, *agent_flags)
    agents = {host: _agent(folder, host, collector, flags, before) for host in hosts}
    made = World(folder, collector, agents, store)
    try:
        for program in made.programs.values():
            await program.start()
        yield made
    finally:
        for program in made.programs.values():
            await program.kill()


def _collector(folder: Path, flags: Sequence[str], before: Sequence[str]) -> Program:
    """It comes back at the address that it first had."""
    listen = f"127.0.0.1:{_kept_port()}"

    def arguments() -> Sequence[str]:
        return ("--listen", listen, "--http", "127.0.0.1:0", *flags)

    command = module("collector.app", before)
    return Program("collector", command, arguments, folder / "collector.log")


def _kept_port() -> int:
    """A free port that the kernel gives to nobody while its program is away."""
    while True:
        port = random.randint(*_NOT_EPHEMERAL)
        with socket.socket() as probe:
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            if probe.connect_ex(("127.0.0.1", port)) != 0:
                return port


def _agent(
    folder: Path, host: str, collector: Program, flags: Sequence[str], before: Sequence[str]
) -> Program:
    """It comes back at another address each time: what a host's agent may do."""

    def arguments() -> Sequence[str]:
        where = ("--listen", "127.0.0.1:0", "--metrics", "127.0.0.1:0")
        known = ("--collector", collector.where["listening"], "--name", host)
        return (*where, *known, "--data-dir", str(folder / host), *flags)

    return Program(host, module("agent.app", before), arguments, folder / f"{host}.log")
