"""Prometheus and PostgreSQL as programs that end when whoever started them does."""

from __future__ import annotations

import asyncio
import os
import shutil
import socket
from asyncio.subprocess import Process
from collections.abc import Mapping
from pathlib import Path
from urllib.error import URLError
from urllib.request import urlopen

from deploy.programs import Program, ProgramFailed, module

_CHECKOUT = Path(__file__).resolve().parents[2]
_LOOK_SECONDS = 0.1

# The kernel asks it to end when its parent is gone, were it by SIGKILL (prctl(2)).
BOUND = ("setpriv", "--pdeathsig", "TERM")


def free_port() -> int:
    """A port of loopback that nobody listens on now."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def postgres(folder: Path, log: Path) -> Program:
    """A PostgreSQL of our own; ``where["url"]`` is its address."""
    return Program(
        "postgres",
        module("deploy.postgres", BOUND),
        lambda: (str(folder),),
        log,
        _address_line,
    )


async def _address_line(process: Process) -> Mapping[str, str]:
    assert process.stdout is not None  # noqa: S101 - it was opened as a pipe
    line = (await process.stdout.readline()).decode().strip()
    return {"url": line} if line else {}


def prometheus(folder: Path, configuration: Path, log: Path) -> Program:
    """A Prometheus with this configuration; ``where["url"]`` is its address."""
    port = free_port()
    url = f"http://127.0.0.1:{port}"

    async def serving(process: Process) -> Mapping[str, str]:
        while process.returncode is None:
            if await asyncio.to_thread(_answers, f"{url}/-/ready"):
                return {"url": url}
            await asyncio.sleep(_LOOK_SECONDS)
        return {}

    arguments = (
        f"--config.file={configuration}",
        f"--storage.tsdb.path={folder}",
        f"--web.listen-address=127.0.0.1:{port}",
        "--log.level=warn",
    )
    command = (*BOUND, tool("prometheus"))
    return Program("prometheus", command, lambda: arguments, log, serving)


def tool(name: str) -> str:
    """The path of ``prometheus`` or ``promtool``. Raises ``ProgramFailed`` without it."""
    found = shutil.which(name, path=_search_path())
    if found is None:
        raise ProgramFailed(f"{name} is missing: run deploy/bootstrap.sh --dev")
    return found


def present(name: str) -> bool:
    """Whether there is such a program."""
    return shutil.which(name, path=_search_path()) is not None


async def at_once(process: Process) -> Mapping[str, str]:
    """For a program that serves nobody: it is there."""
    return {"pid": str(process.pid)}


def _search_path() -> str:
    return f"{os.environ.get('PATH', '')}:{_CHECKOUT / 'build' / 'tools'}:/usr/sbin:/sbin"


def _answers(url: str) -> bool:
    try:
        with urlopen(url, timeout=5) as answer:  # noqa: S310 - ours, http
            return bool(answer.status == 200)
    except (URLError, OSError):
        return False
