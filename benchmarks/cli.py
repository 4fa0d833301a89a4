"""How long a person waits for ``tonnage --help``."""

from __future__ import annotations

import asyncio
import sys
import time
from pathlib import Path

from benchmarks.rows import Row, quantile_with_interval

_RUNS = 21


async def measure() -> list[Row]:
    """One row: wall time of the whole process."""
    command = Path(sys.executable).with_name("tonnage")
    seconds = []
    for _ in range(_RUNS):
        began = time.perf_counter()
        process = await asyncio.create_subprocess_exec(
            command, "--help", stdout=asyncio.subprocess.DEVNULL
        )
        if await process.wait() != 0:
            raise RuntimeError(f"{command} --help failed")
        seconds.append(time.perf_counter() - began)
    value, ci = quantile_with_interval(seconds, 0.5)
    return [Row("tonnage --help, p50", value, ci, "s", 0.4, "max", _RUNS)]
