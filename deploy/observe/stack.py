"""Everything that is observed, on loopback: collector on PostgreSQL, agents, Prometheus.

Set up as an operator would, with mutual TLS, so that the shipped configuration of Prometheus is
used as it is but for addresses and files.
"""

from __future__ import annotations

import asyncio
import shutil
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from contextlib import asynccontextmanager
from pathlib import Path

import asyncpg

from deploy.ending import end
from deploy.observe import servers
from deploy.observe.configuration import Places, copy_rules, on_loopback
from deploy.observe.gate import Gate
from deploy.observe.postgres import PostgreSQL
from deploy.observe.prometheus import Prometheus
from deploy.observe.sources import Sources
from deploy.operator import Operator, Say
from deploy.programs import Program, module

CHECKOUT = Path(__file__).resolve().parents[2]
SHIPPED = CHECKOUT / "deploy" / "prometheus"
LOST_AFTER_SECONDS = 8.0
LEASE_SECONDS = 2.0
_DATABASE = "tonnage"
_OBSERVING = ("--observe", "true", "--observe-interval-seconds", "2")

Flags = Callable[[str], Sequence[str]]


class Stack:
    """The programs, each of which may be killed and started again.

    ``flags`` are an agent's own, by its host's name. ``gate``: by which one of them may
    reach its engine.
    """

    def __init__(
        self, folder: Path, hosts: Sequence[str], flags: Flags, say: Say, gate: Gate
    ) -> None:
        self.folder = folder
        self.gate = gate
        self.pki = folder / "pki"
        self.collector_flags: tuple[str, ...] = ()
        self._grpc, self._http = servers.free_port(), servers.free_port()
        self._flags = flags
        self.operator = Operator(self.pki, lambda: self.address, lambda: self.door, say)
        logs = folder / "logs"
        self.postgres = servers.postgres(folder / "postgres", logs / "postgres.log")
        self.collector = Program(
            "collector",
            module("collector.app", servers.BOUND),
            self._collector_arguments,
            logs / "collector.log",
        )
        self.agents = {host: self._agent(host, logs / f"{host}.log") for host in hosts}
        self.configuration = folder / "prometheus.yml"
        self.prometheus = servers.prometheus(
            folder / "prometheus", self.configuration, logs / "prometheus.log"
        )

    @property
    def address(self) -> str:
        """Where the collector's calls are answered."""
        return f"127.0.0.1:{self._grpc}"

    @property
    def door(self) -> str:
        """Where hosts join, and Prometheus finds agents and the collector's metrics."""
        return f"127.0.0.1:{self._http}"

    @property
    def sources(self) -> Sources:
        """What dashboards ask."""
        url = self.prometheus.where["url"]
        return Sources(Prometheus(url), PostgreSQL(self.store))

    @property
    def store(self) -> str:
        """The address of the collector's database."""
        return f"{self.administration.rpartition('/')[0]}/{_DATABASE}"

    @property
    def administration(self) -> str:
        """Another database, from which that one can be shut."""
        return self.postgres.where["url"]

    @property
    def programs(self) -> Mapping[str, Program]:
        """In the order in which they start."""
        first = {"postgres": self.postgres, "collector": self.collector}
        return {**first, **self.agents, "prometheus": self.prometheus}

    def data_dir(self, host: str) -> Path:
        """An agent's folder."""
        return self.folder / "agents" / host

    def configure_prometheus(self, *, hurried: bool = False) -> None:
        """Write its configuration and the rules; see ``copy_rules``."""
        rules = self.folder / "rules"
        copy_rules(SHIPPED / "rules", rules, hurried=hurried)
        places = Places(self.door, self.pki / "ca.pem", self.pki / "scrape.token", rules)
        shipped = (SHIPPED / "prometheus.yml").read_text()
        self.configuration.write_text(on_loopback(shipped, places))

    async def up(self) -> None:
        """Start everything, and let the hosts join."""
        await self.operator.tonnage("pki", "init", "--dir", str(self.pki), quiet=True)
        await self.postgres.start()
        await self._database()
        await self.collector.start()
        for host in self.agents:
            await self.operator.join(host, self.data_dir(host))
        await asyncio.gather(*(agent.start() for agent in self.agents.values()))
        self.configure_prometheus()
        await self.prometheus.start()

    async def down(self) -> None:
        """End everything. Raises ``ProgramFailed`` when one did not end as asked."""
        await end([*self.programs.values()], self.agents.values())

    async def _database(self) -> None:
        connection = await asyncpg.connect(self.administration)
        try:
            await connection.execute(f"CREATE DATABASE {_DATABASE}")
        finally:
            await connection.close()

    def _collector_arguments(self) -> Sequence[str]:
        return (
            *("--listen", self.address, "--http", self.door, "--tls-dir", str(self.pki)),
            *("--store", self.store, "--lease", f"{LEASE_SECONDS:g}"),
            *("--lost-after", f"{LOST_AFTER_SECONDS:g}", *self.collector_flags),
        )

    def _agent(self, host: str, log: Path) -> Program:
        def arguments() -> Sequence[str]:
            return (
                *("--name", host, "--listen", "127.0.0.1:0", "--metrics", "127.0.0.1:0"),
                *("--data-dir", str(self.data_dir(host)), *_OBSERVING),
                *self._flags(host),
            )

        return Program(host, module("agent.app", servers.BOUND), arguments, log)


@asynccontextmanager
async def stack(
    folder: Path, hosts: Sequence[str], flags: Flags, say: Say, gate: Gate
) -> AsyncIterator[Stack]:
    """All of it, up; gone after the block, whatever ends it. ``gate`` is open meanwhile."""
    shutil.rmtree(folder, ignore_errors=True)
    (folder / "logs").mkdir(parents=True)
    made = Stack(folder, hosts, flags, say, gate)
    async with gate.opened():
        try:
            await made.up()
            yield made
        finally:
            await made.down()
