"""Random kill -9s with real containers: of the agent, the collector, and the engine itself."""

from __future__ import annotations

import asyncio
import signal
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

import docker

from benchmarks.rows import Row
from deploy.engine import load_images
from deploy.private_engine import PrivateEngine, _end
from tests.faults.kills import Campaign, Toll, fight, rows
from tests.faults.world import world
from tonnage.model import RunState

SPEC = {
    "name": "docker-kills",
    "targets": [{"runtime": "docker"}],
    "workload": {"image": "tonnage/idle:1", "readiness": {"log": "TONNAGE READY"}},
    "startup": {"trials": 60, "warmup": 0, "concurrency": [2]},
    "footprint": {"counts": [2, 4], "settle": "100ms"},
}


class Engine(PrivateEngine):
    """A container engine of the test's own, whose daemon may be killed."""

    async def kill(self) -> None:
        """End dockerd alone, as a crash of it does: containerd and the shims live on."""
        await asyncio.to_thread(_end, self._daemons("dockerd"), signal.SIGKILL)

    async def start_again(self) -> None:
        """Start dockerd over what it left."""
        (self.run / "dockerd.pid").unlink(missing_ok=True)
        await asyncio.to_thread(self._launch)

    def containers(self) -> int:
        """All containers, running or not."""
        client = docker.DockerClient(self.address)
        try:
            return len(client.containers.list(all=True))
        finally:
            client.close()


class EngineVictim:
    """The engine as one of the victims."""

    def __init__(self, engine: Engine) -> None:
        self._engine = engine

    async def kill(self) -> None:
        """See ``kills.Victim``."""
        await self._engine.kill()

    async def start(self) -> None:
        """See ``kills.Victim``."""
        await self._engine.start_again()


@contextmanager
def own_engine(home: Path) -> Iterator[Engine]:
    """An engine with the workload images, gone after the block."""
    engine = Engine(home)
    engine.start()
    try:
        load_images(engine.address)
        yield engine
    finally:
        engine.stop()


async def docker_kills(folder: Path, count: int) -> Toll:
    """Kills of one agent, the collector and the engine. A run during which its engine died
    may end partial: starts that the engine could not make are failed rows."""
    with own_engine(folder / "engine") as engine:
        flags = ("--docker-host", engine.address)
        async with world(folder, ["h1"], runtimes="docker", agent_flags=flags) as made:
            plan = Campaign(
                SPEC,
                planned=0,
                count=count,
                left=engine.containers,
                ends=frozenset({RunState.FINISHED, RunState.PARTIAL}),
                pause_seconds=(0.5, 3.0),
            )
            return await fight(made, {**made.programs, "engine": EngineVictim(engine)}, plan)


async def measure(size: float = 1.0) -> Sequence[Row]:
    """24 kills at full size."""
    with tempfile.TemporaryDirectory(prefix="tonnage-faults-") as folder:
        toll = await docker_kills(Path(folder), max(int(24 * size), 2))
    return rows(toll, "docker")
