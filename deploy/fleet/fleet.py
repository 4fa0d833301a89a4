"""A collector and agents on test hosts, over mutual TLS, set up as an operator would."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from pathlib import Path

from agent.runtimes.docker.config import LABEL_AGENT
from deploy.commands import Done
from deploy.ending import end
from deploy.fleet.namespaces import Host, switched_hosts
from deploy.operator import Operator, Say
from deploy.programs import Program, ProgramFailed, module

COLLECTOR = "collector"
_GRPC, _HTTP, _AGENT, _METRICS = 7070, 7071, 7080, 7081


class Fleet:
    """``agents`` by host; ``say`` is told each command as a person would type it."""

    def __init__(
        self,
        folder: Path,
        hosts: Mapping[str, Host],
        agent_flags: Sequence[str],
        lost_after: float,
        say: Say,
    ) -> None:
        self.folder = folder
        self.hosts = hosts
        self.pki = folder / "pki"
        at = hosts[COLLECTOR]
        door = f"{at.address}:{_HTTP}"
        self._operator = Operator(self.pki, lambda: self.address, lambda: door, say, at.command())
        self._flags = agent_flags
        self._lost_after = lost_after
        self.collector = self._collector()
        self.agents = {name: self._agent(name) for name in hosts if name != COLLECTOR}

    @property
    def address(self) -> str:
        """Where the collector's calls are answered."""
        return f"{self.hosts[COLLECTOR].address}:{_GRPC}"

    @property
    def store(self) -> Path:
        """The collector's database."""
        return self.folder / "store" / "tonnage.db"

    async def tonnage(self, *words: str, expect: Sequence[int] = (0,), quiet: bool = False) -> Done:
        """One ``tonnage`` command on the collector's host, with the operator's certificate.

        Raises ``CommandFailed`` when it ends with a code that is not in ``expect``.
        """
        return await self._operator.tonnage(*words, expect=expect, quiet=quiet)

    async def join(self, name: str) -> None:
        """Let a host join with a token of its own."""
        await self._operator.join(name, self.folder / name, self.hosts[name].command())

    def _collector(self) -> Program:
        at = self.hosts[COLLECTOR].address
        arguments = (
            *("--listen", f"{at}:{_GRPC}", "--http", f"{at}:{_HTTP}"),
            *("--store", str(self.folder / "store"), "--tls-dir", str(self.pki)),
            *("--lease", "3", "--lost-after", f"{self._lost_after:g}"),
        )
        before = self.hosts[COLLECTOR].command()
        log = self.folder / "collector.log"
        return Program(COLLECTOR, module("collector.app", before), lambda: arguments, log)

    def _agent(self, name: str) -> Program:
        at = self.hosts[name].address
        arguments = (
            *("--name", name, "--listen", f"{at}:{_AGENT}", "--metrics", f"{at}:{_METRICS}"),
            *("--data-dir", str(self.folder / name), *self._flags),
        )
        log = self.folder / f"{name}.log"
        command = module("agent.app", self.hosts[name].command())
        return Program(name, command, lambda: arguments, log)


@asynccontextmanager
async def fleet(
    folder: Path,
    names: Sequence[str],
    agent_flags: Sequence[str],
    say: Say,
    lost_after: float = 8.0,
) -> AsyncIterator[Fleet]:
    """Hosts of these names that have joined and serve; all of it is gone after the block, the
    agents' instances too. Raises ``ProgramFailed`` when one ended by itself, or not as asked.

    ``lost_after``: seconds after which the collector gives a silent host up.
    """
    with switched_hosts([COLLECTOR, *names]) as hosts:
        made = Fleet(folder, hosts, agent_flags, lost_after, say)
        programs = [made.collector, *made.agents.values()]
        try:
            await made.tonnage("pki", "init", "--dir", str(made.pki))
            await made.collector.start()
            for name in names:
                await made.join(name)
            await asyncio.gather(*(agent.start() for agent in made.agents.values()))
            yield made
            if fell := [program.name for program in programs if program.fell]:
                raise ProgramFailed(f"ended by itself: {', '.join(fell)}")
        finally:
            await _end(made, programs)


async def _end(made: Fleet, programs: Sequence[Program]) -> None:
    try:
        await end(programs, made.agents.values())
    except ProgramFailed as error:
        ids = [path.read_text().strip() for path in sorted(made.folder.glob("*/agent-id"))]
        ways = [f"docker ps -aq --filter label={LABEL_AGENT}={each}" for each in ids]
        told = "".join(f"\n    {way} | xargs -r docker rm -f" for way in ways)
        raise ProgramFailed(f"{error}\n  What its agents may have left:{told}") from error
