"""A real collector with an authority of its own, and real agents that join it."""

from __future__ import annotations

import asyncio
import json
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from collector.pki.folder import PkiFolder
from tests.integration.agents import spawn
from tests.integration.collector_process import CollectorProcess, collector_process
from tonnage.dial import Dial
from tonnage.identity import Identity, Role
from tonnage.tls import TlsFiles
from tonnage.v1 import agent_pb2_grpc, collector_pb2, collector_pb2_grpc

COLLECTOR = Identity(Role.COLLECTOR, "collector")


@dataclass
class Fleet:
    """A collector, its authority's folder, and an operator's way to it."""

    pki: Path
    process: CollectorProcess
    operator: Any

    @property
    def http(self) -> str:
        """Where hosts join."""
        return self.process.http

    @property
    def collector_files(self) -> TlsFiles:
        """The collector's own certificate, to call agents as it does."""
        return PkiFolder(self.pki).tls_files

    async def token(self, uses: int = 1, host: str = "", ttl_seconds: float = 60) -> str:
        """A fresh token."""
        request = collector_pb2.CreateTokenRequest(ttl_seconds=ttl_seconds, uses=uses, host=host)
        return str((await self.operator.CreateToken(request)).token)

    async def host(self, name: str) -> Any:
        """Wait until a host of this name is registered."""
        while True:
            answer = await self.operator.ListHosts(collector_pb2.ListHostsRequest())
            for host in answer.hosts:
                if host.facts.host == name and host.state == "healthy":
                    return host

    async def join(self, folder: Path, name: str, *flags: str) -> None:
        """Have a host join with a token of its own."""
        await joined(folder, name, await self.token(), self.http, *flags)


@asynccontextmanager
async def fleet(folder: Path, *flags: str) -> AsyncIterator[Fleet]:
    """A collector with mutual TLS on loopback; it is gone after the block."""
    pki = folder / "pki"
    PkiFolder(pki).create("test fleet", "ann")
    files = TlsFiles(pki / "operator.pem", pki / "operator.key", pki / "ca.pem")
    async with collector_process(folder, "--tls-dir", str(pki), *flags) as process:
        dial = Dial(process.address, COLLECTOR, files)
        stub: Any = collector_pb2_grpc.CollectorServiceStub(await dial.channel())
        try:
            yield Fleet(pki, process, stub)
        finally:
            await dial.close()


async def join(folder: Path, *flags: str) -> tuple[int, str, str]:
    """Run ``tonnage-agent join`` for the data folder: exit code, stdout, stderr."""
    words = ("join", "--data-dir", str(folder), *flags)
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "agent.app", *words),
        stdin=asyncio.subprocess.DEVNULL,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
    )
    out, err = await process.communicate()
    assert process.returncode is not None
    return process.returncode, out.decode(), err.decode()


async def joined(folder: Path, name: str, token: str, http: str, *flags: str) -> None:
    """Join; it must succeed."""
    code, _, err = await join(folder, "--collector", http, "--name", name, "--token", token, *flags)
    assert (code, err) == (0, "")


@dataclass
class JoinedAgent:
    """An agent's process, where it serves, and the collector's way to it."""

    process: asyncio.subprocess.Process
    address: str
    metrics: str
    dial: Dial

    async def stub(self) -> Any:
        """Calls of the agent, with the certificate the dial has now."""
        return agent_pb2_grpc.AgentServiceStub(await self.dial.channel())


@asynccontextmanager
async def serving(
    folder: Path, name: str, files: TlsFiles, *flags: str
) -> AsyncIterator[JoinedAgent]:
    """An agent that has joined, called with ``files``; gone after the block."""
    process = await spawn(folder, "--name", name, *flags)
    assert process.stdout is not None
    assert process.stderr is not None
    line = await process.stdout.readline()
    if not line:
        raise AssertionError((await process.stderr.read()).decode())
    drained = asyncio.create_task(process.stderr.read())
    told = json.loads(line)
    dial = Dial(told["listening"], Identity(Role.AGENT, name), files)
    try:
        yield JoinedAgent(process, told["listening"], told["metrics"], dial)
    finally:
        await dial.close()
        if process.returncode is None:
            process.kill()
        await process.wait()
        await drained
        # The transport is told of the pipes' ends in a later turn of the loop.
        process._transport.close()  # type: ignore[attr-defined]  # asyncio has no public way
