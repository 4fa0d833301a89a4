"""Random kill -9s with real containers: of the agent, the collector, and the engine itself."""

from __future__ import annotations

import asyncio
import secrets
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from benchmarks.rows import Row, zero
from deploy.engine import load_images
from deploy.private_engine import PrivateEngine
from tests.faults.kills import Campaign, Toll, fight, rows
from tests.faults.survivors import of_engine, records
from tests.faults.world import world
from tonnage.model import RunState


def spec(mark: str) -> dict[str, object]:
    """What is run while things are killed; its instances carry the mark."""
    return {
        "name": "docker-kills",
        "targets": [{"runtime": "docker"}],
        "workload": {
            "image": "tonnage/idle:1",
            "readiness": {"log": "TONNAGE READY"},
            "environment": {"TONNAGE_FAULTS": mark},
        },
        "startup": {"trials": 60, "warmup": 0, "concurrency": [2]},
        "footprint": {"counts": [2, 4], "settle": "100ms"},
    }


class EngineVictim:
    """A container engine of the test's own, as one of the victims."""

    def __init__(self, engine: PrivateEngine) -> None:
        self._engine = engine

    async def kill(self) -> None:
        """See ``kills.Victim``."""
        await asyncio.to_thread(self._engine.kill)

    async def start(self) -> None:
        """See ``kills.Victim``."""
        await asyncio.to_thread(self._engine.start_again)


@contextmanager
def own_engine(home: Path) -> Iterator[PrivateEngine]:
    """An engine with the workload images, gone after the block."""
    engine = PrivateEngine(home)
    engine.start()
    try:
        load_images(engine.address)
        yield engine
    finally:
        engine.stop()


async def docker_kills(folder: Path, count: int) -> Toll:
    """Kills of one agent, the collector and the engine. A run during which its engine died
    may end partial: starts that the engine could not make are failed rows. What is left is
    counted among the host's processes too: an engine forgets what it was killed in starting."""
    mark = secrets.token_hex(16)
    with own_engine(folder / "engine") as engine:
        flags = ("--docker-host", engine.address)
        async with world(folder, ["h1"], runtimes="docker", agent_flags=flags) as made:
            plan = Campaign(
                spec(mark),
                planned=None,
                count=count,
                left=lambda: records([engine.address]) + of_engine(engine.run, mark),
                ends=frozenset({RunState.FINISHED, RunState.PARTIAL}),
                pause_seconds=(0.5, 3.0),
            )
            return await fight(made, {**made.programs, "engine": EngineVictim(engine)}, plan)


async def measure(size: float = 1.0) -> Sequence[Row]:
    """24 kills at full size."""
    with tempfile.TemporaryDirectory(prefix="tonnage-faults-") as folder:
        toll = await docker_kills(Path(folder), max(int(24 * size), 2))
    spared = {"agent", "collector", "engine"} - toll.kills.keys()
    kinds = zero(
        "docker: kinds of programs that were never killed", len(spared), toll.kills.total()
    )
    return [kinds, *rows(toll, "docker")]
