"""A collector and agents on test hosts, over mutual TLS, set up as an operator would."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from contextlib import asynccontextmanager
from pathlib import Path

from deploy.commands import Done, run
from deploy.fleet.namespaces import Host, switched_hosts
from deploy.programs import Program, module

COLLECTOR = "collector"
_GRPC, _HTTP, _AGENT, _METRICS = 7070, 7071, 7080, 7081

Say = Callable[[str], None]


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
        self._say = say
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
        if not quiet:
            self._say(f"\n$ tonnage {' '.join(words)}\n")
        talks = words[0] not in ("pki", "validate", "schema") or words[1:2] == ("show",)
        where = ("--collector", self.address, "--tls-dir", str(self.pki)) if talks else ()
        done = await self._run(COLLECTOR, "collector.cli", *words, *where, expect=expect)
        if not quiet:
            self._say(done.out + done.err)
        return done

    async def join(self, name: str) -> None:
        """Let a host join with a token of its own."""
        made = await self.tonnage(
            *(
                "token",
                "create",
                "--ttl",
                "5min",
                "--uses",
                "1",
                "--host",
                name,
                "--output",
                "json",
            ),
            quiet=True,
        )
        token = json.loads(made.out)["token"]
        door = f"{self.hosts[COLLECTOR].address}:{_HTTP}"
        words = ("join", "--collector", door, "--name", name)
        self._say(f"{name}$ tonnage-agent {' '.join(words)} --token …\n")
        data = ("--data-dir", str(self.folder / name))
        await self._run(name, "agent.app", *words, *data, "--token", token)

    async def _run(self, host: str, name: str, *words: str, expect: Sequence[int] = (0,)) -> Done:
        return await run([*module(name, self.hosts[host].command()), *words], expect)

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
    """Hosts of these names that have joined and serve; all of it is gone after the block.

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
            for program in reversed(programs):
                await program.stop()
        finally:
            for program in programs:
                await program.kill()
