"""What an engine was killed in starting, and has forgotten, is found by the kernel's word."""

from __future__ import annotations

import secrets
import subprocess
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

from agent.runtimes.docker import orphans

ROOT = Path("/sys/fs/cgroup")


@contextmanager
def in_group(name: str) -> Iterator[subprocess.Popen[bytes]]:
    """A process in a cgroup of this name, as an engine would place it."""
    root = next(each for each in (ROOT / "pids", ROOT) if (each / "cgroup.procs").exists())
    group = root / name
    group.mkdir()
    try:
        with subprocess.Popen(["sleep", "60"]) as process:
            try:
                (group / "cgroup.procs").write_text(str(process.pid))
                yield process
            finally:
                process.kill()
    finally:
        group.rmdir()


async def test_processes_of_that_container_end_and_no_others() -> None:
    with ExitStack() as stack:
        ours, foreign = secrets.token_hex(32), secrets.token_hex(32)
        own, other = (stack.enter_context(in_group(f"tonnage-test-{n}")) for n in (ours, foreign))
        assert await orphans.end(ours) == []
        assert own.wait(5) == -9
        assert other.poll() is None
        assert await orphans.end(secrets.token_hex(32)) == []
        assert other.poll() is None
