"""Many agents in one process: ``python -m tests.faults.many_agents FIRST COUNT COLLECTOR FOLDER``.

Each is whole: its own folder, spool, journal, server and registration. Prints one line once
all of them serve, and ends on SIGTERM.
"""

from __future__ import annotations

import asyncio
import gc
import os
import signal
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from agent.app import serve
from agent.config import AgentConfig
from agent.configure import load
from agent.ending import Ending
from tonnage.logs import log_to_stderr

_DISK_THREADS = 4


def main() -> None:
    """Serve until told to stop."""
    first, count, collector, folder = sys.argv[1:]
    names = [f"s{number:04d}" for number in range(int(first), int(first) + int(count))]
    configs = [_config(name, collector, Path(folder)) for name in names]
    log_to_stderr("error")  # stdout is a pipe that nobody empties, and would fill
    with ThreadPoolExecutor(_DISK_THREADS, "disk") as disk:
        asyncio.run(_serve(configs, disk))


def _config(name: str, collector: str, folder: Path) -> AgentConfig:
    flags = (
        *("--name", name, "--collector", collector, "--data-dir", str(folder / name)),
        *("--listen", "127.0.0.1:0", "--metrics", "127.0.0.1:0", "--runtimes", "fake"),
        *("--guard-memory-headroom-bytes", "1", "--guard-disk-headroom-bytes", "1"),
        *("--log-level", "error", "--labels", f"rack=r{int(name[1:]) % 10}"),
    )
    return load(flags, os.environ)


async def _serve(configs: list[AgentConfig], disk: ThreadPoolExecutor) -> None:
    ending, serving = Ending(), asyncio.Semaphore(0)
    asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, ending.asked.set)
    async with asyncio.TaskGroup() as agents:
        for config in configs:
            agents.create_task(serve(config, disk, ending, lambda _: serving.release()))
        for _ in configs:
            await serving.acquire()
        gc.freeze()  # one process holds what hundreds would: looking through it is no host's cost
        sys.stdout.write('{"listening": "all"}\n')
        sys.stdout.flush()


if __name__ == "__main__":
    main()
