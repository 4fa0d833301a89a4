"""What an engine was killed in starting, and has forgotten, is found by the kernel's word."""

from __future__ import annotations

import asyncio
import secrets
import shutil
import subprocess
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

import pytest

from agent.process import Identity
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
def shim(folder: Path, script: str, *arguments: str) -> Iterator[subprocess.Popen[bytes]]:
    """A process by the name of a shim and with these arguments."""
    program = folder / "containerd-shim-test"
    shutil.copy("/bin/sh", program)
    pipe = subprocess.PIPE
    with subprocess.Popen([program, "-c", script, *arguments], stdin=pipe, stdout=pipe) as process:
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
    """With what it has started, for which gVisor makes no cgroup."""
    ours = secrets.token_hex(32)
    with shim(tmp_path, "sleep 60 & echo $!; wait", "-namespace", "moby", "-id", ours) as making:
        assert making.stdout is not None
        child = Identity.of(int(making.stdout.readline()))
        assert child is not None
        assert await orphans.end(ours) == []
        assert making.wait(5) == -9
        assert not child.alive()


@contextmanager
def reader(name: str) -> Iterator[subprocess.Popen[bytes]]:
    """A stranger's command about something of that name."""
    command = ["sh", "-c", "read forever", name]
    with subprocess.Popen(command, stdin=subprocess.PIPE) as process:
        try:
            yield process
        finally:
            process.kill()


async def test_a_shim_that_tidies_up_and_others_that_name_it_are_let_be(tmp_path: Path) -> None:
    ours = secrets.token_hex(32)
    with (
        shim(tmp_path, "read forever", "-id", ours, "delete") as tidying,
        reader(ours) as reading,
    ):
        assert await orphans.end(ours) == []
        assert (tidying.poll(), reading.poll()) == (None, None)


async def test_what_comes_after_the_removal_is_found_while_the_vigil_lasts(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    ours, looks, end = secrets.token_hex(32), 0, orphans.end
    with ExitStack() as stack:
        late: list[subprocess.Popen[bytes]] = []

        async def look(*container_ids: str) -> list[str]:
            nonlocal looks
            looks += 1
            found = await end(*container_ids)
            if looks == 2:
                late.append(stack.enter_context(in_group(f"tonnage-test-{ours}")))
            return found

        monkeypatch.setattr(orphans, "end", look)
        vigil = Vigil(looks=3, look_seconds=0.01)
        vigil.keep(ours)
        await vigil.ended()
        assert looks == 3
        assert await asyncio.to_thread(late[0].wait, 5) == -9


async def test_a_look_that_fails_does_not_end_the_vigil(monkeypatch: pytest.MonkeyPatch) -> None:
    looks = 0

    async def look(*_container_ids: str) -> list[str]:
        nonlocal looks
        looks += 1
        raise OSError("too many open files")

    monkeypatch.setattr(orphans, "end", look)
    vigil = Vigil(looks=3, look_seconds=0.01)
    vigil.keep("one")
    await vigil.ended()
    assert looks == 3
