"""What an engine was killed in starting, and has forgotten, is found by the kernel's word."""

from __future__ import annotations

import asyncio
import secrets
import shutil
import subprocess
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

from agent.runtimes.docker import orphans
from agent.runtimes.docker.orphans import Vigil

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


@contextmanager
def shim(folder: Path, *arguments: str) -> Iterator[subprocess.Popen[bytes]]:
    """A process that waits, by the name of a shim and with these arguments."""
    program = folder / "containerd-shim-test"
    shutil.copy("/bin/sh", program)
    command = [program, "-c", "read forever", *arguments]
    with subprocess.Popen(command, stdin=subprocess.PIPE) as process:
        try:
            yield process
        finally:
            process.kill()


async def test_processes_of_that_container_end_and_no_others() -> None:
    with ExitStack() as stack:
        ours, foreign = secrets.token_hex(32), secrets.token_hex(32)
        own, other = (stack.enter_context(in_group(f"tonnage-test-{n}")) for n in (ours, foreign))
        assert await orphans.end(ours) == []
        assert own.wait(5) == -9
        assert other.poll() is None
        assert await orphans.end(secrets.token_hex(32)) == []
        assert other.poll() is None


async def test_a_shim_that_is_still_making_it_ends_too(tmp_path: Path) -> None:
    ours = secrets.token_hex(32)
    with shim(tmp_path, "-namespace", "moby", "-id", ours) as making:
        assert await orphans.end(ours) == []
        assert making.wait(5) == -9


async def test_a_shim_that_tidies_up_and_others_that_name_it_are_let_be(tmp_path: Path) -> None:
    ours = secrets.token_hex(32)
    with (
        shim(tmp_path, "-id", ours, "delete") as tidying,
        subprocess.Popen(["sh", "-c", "read forever", ours], stdin=subprocess.PIPE) as reading,
    ):
        assert await orphans.end(ours) == []
        assert (tidying.poll(), reading.poll()) == (None, None)
        reading.kill()


async def test_what_comes_after_the_removal_is_found_while_the_vigil_lasts() -> None:
    ours = secrets.token_hex(32)
    vigil = Vigil()
    vigil.keep(ours)
    with in_group(f"tonnage-test-{ours}") as late:
        await vigil.ended()
        assert await asyncio.to_thread(late.wait, 5) == -9
