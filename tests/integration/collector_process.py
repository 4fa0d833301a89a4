"""A real collector as a process of its own, which a test may kill."""

from __future__ import annotations

import asyncio
import json
import os
import signal
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).parents[2]
_START_SECONDS = 30
_STOP_SECONDS = 20


@dataclass
class CollectorProcess:
    """``address`` and ``http`` are where it serves."""

    process: asyncio.subprocess.Process
    address: str
    http: str

    async def kill(self) -> None:
        """End it as a power cut would."""
        self.process.kill()
        await self.process.wait()

    async def stop(self) -> int:
        """Ask it to end; its exit code."""
        self.process.send_signal(signal.SIGTERM)
        return await asyncio.wait_for(self.process.wait(), _STOP_SECONDS)


@asynccontextmanager
async def collector_process(
    folder: Path, *flags: str, listen: str = "127.0.0.1:0"
) -> AsyncIterator[CollectorProcess]:
    """A collector with its store in ``folder``; it is gone after the block."""
    arguments = ["--listen", listen, "--http", "127.0.0.1:0", "--store", str(folder / "store")]
    log = (folder / "collector.log").open("a")
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "collector.app", *arguments, *flags),
        cwd=ROOT,
        stdout=asyncio.subprocess.PIPE,
        stderr=log,
    )
    log.close()
    try:
        assert process.stdout is not None
        line = await asyncio.wait_for(process.stdout.readline(), _START_SECONDS)
        assert line, (folder / "collector.log").read_text()
        served = json.loads(line)
        yield CollectorProcess(process, served["listening"], served["http"])
    finally:
        if process.returncode is None:
            process.kill()
            await process.wait()


async def run_to_its_end(*flags: str, **environment: str) -> tuple[int, str, str]:
    """Run a collector that cannot start: exit code, stdout, stderr."""
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "collector.app", *flags),
        cwd=ROOT,
        env={**os.environ, **environment},
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
    )
    out, err = await asyncio.wait_for(process.communicate(), _START_SECONDS)
    assert process.returncode is not None
    return process.returncode, out.decode(), err.decode()
