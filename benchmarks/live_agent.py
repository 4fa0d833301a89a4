"""A real agent as a process of its own, for the length of a benchmark."""

from __future__ import annotations

import asyncio
import json
import os
import sys
import tempfile
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path

import grpc.aio

from benchmarks.bare import IMAGE, MEMORY_BYTES, READY_LINE
from tonnage.model import ConsoleHealth, LogReadiness, Mode, Network, Target, Workload
from tonnage.v1 import agent_pb2_grpc

_STOP_SECONDS = 120


@dataclass(frozen=True, slots=True)
class LiveAgent:
    """An agent that serves: its stub, its process id, its metrics endpoint."""

    stub: agent_pb2_grpc.AgentServiceAsyncStub
    pid: int
    metrics: str


@asynccontextmanager
async def live_agent(runtimes: str) -> AsyncIterator[LiveAgent]:
    """Start an agent with these runtimes on loopback; stop it, and all it holds, after."""
    with tempfile.TemporaryDirectory(prefix="tonnage-bench-") as folder:
        with Path(folder, "agent.log").open("wb") as log:
            process = await asyncio.create_subprocess_exec(
                *(sys.executable, "-m", "agent.app", "--name", "bench"),
                *("--listen", "127.0.0.1:0", "--metrics", "127.0.0.1:0"),
                *("--data-dir", str(Path(folder, "data")), "--runtimes", runtimes),
                *("--guest-dir", "build/guest", "--images-dir", "build/images"),
                stdout=asyncio.subprocess.PIPE,
                stderr=log,
                env={**os.environ, "TONNAGE_AGENT_GUARD_MAX_INSTANCES": "300"},
            )
        try:
            assert process.stdout is not None
            line = await asyncio.wait_for(process.stdout.readline(), 60)
            if not line:
                raise RuntimeError(Path(folder, "agent.log").read_text())
            where = json.loads(line)
            async with grpc.aio.insecure_channel(where["listening"]) as channel:
                stub = agent_pb2_grpc.AgentServiceStub(channel)
                yield LiveAgent(stub, process.pid, where["metrics"])
        finally:
            if process.returncode is None:
                process.terminate()
            await asyncio.wait_for(process.wait(), _STOP_SECONDS)


def target(runtime: str) -> Target:
    """The idle workload as the bare clients start it."""
    workload = Workload(
        name="idle",
        image=IMAGE,
        readiness=LogReadiness(READY_LINE.decode()),
        health=ConsoleHealth(ask="ping", answer="pong"),
    )
    variant = "direct" if runtime == "qemu-microvm" else "default"
    return Target(runtime, runtime, variant, Mode.WARM, Network.NONE, workload, MEMORY_BYTES)
