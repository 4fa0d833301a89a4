"""What is shown on a fleet: a comparison over three hosts, one of which dies in the middle."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from deploy.fleet.fleet import Fleet, fleet
from deploy.operator import Say

HOSTS = ("h1", "h2", "h3")
_VICTIM = "h3"
_WAIT_SECONDS = 300.0
_LOOK_SECONDS = 0.3


async def tell(
    folder: Path, spec: Path, settings: Sequence[str], agent_flags: Sequence[str], say: Say
) -> str:
    """The whole story; the run's id. Raises when anything in it is not as it should be."""
    async with fleet(folder, HOSTS, agent_flags, say) as made:
        await healthy(made, len(HOSTS))
        await made.tonnage("hosts")
        say(f"\nA comparison on {len(HOSTS)} hosts, which begin together.\n")
        run_id = await submit(made, spec, settings)
        await until(made, run_id, lambda run: run["trials"] >= len(HOSTS) * 5)
        say(f"\nHost {_VICTIM} loses its power: its agent is killed and its cable pulled.\n")
        await made.agents[_VICTIM].kill()
        made.hosts[_VICTIM].cut()
        await until(made, run_id, lambda run: run["state"] == "partial")
        say("\nThe others finished, and the run ended without it:\n")
        await made.tonnage("show", run_id)
        say(f"\nHost {_VICTIM} is back: its agent goes on where it was cut off.\n")
        made.hosts[_VICTIM].mend()
        await made.agents[_VICTIM].start()
        await until(made, run_id, lambda run: run["state"] == "finished")
        await made.tonnage("show", run_id)
        report = folder / "report.html"
        await made.tonnage("report", run_id, "--out", str(report))
        await made.tonnage("instances")
        say(f"\nThe run as a page: {report}\n")
        return run_id


async def healthy(made: Fleet, count: int) -> None:
    """Wait until so many hosts have registered."""
    async with asyncio.timeout(_WAIT_SECONDS):
        while True:
            done = await made.tonnage("hosts", "--output", "json", quiet=True)
            if sum(host["state"] == "healthy" for host in json.loads(done.out)) == count:
                return
            await asyncio.sleep(_LOOK_SECONDS)


async def submit(made: Fleet, spec: Path, settings: Sequence[str]) -> str:
    """Start the run and leave it alone; its id."""
    sets = [word for setting in settings for word in ("--set", setting)]
    done = await made.tonnage("run", str(spec), *sets, "--detach")
    return done.out.strip()


async def until(
    made: Fleet, run_id: str, there: Callable[[dict[str, Any]], bool]
) -> dict[str, Any]:
    """Wait until the run is as wanted; how it is then."""
    async with asyncio.timeout(_WAIT_SECONDS):
        while True:
            done = await made.tonnage("runs", "--output", "json", quiet=True)
            run = next(run for run in json.loads(done.out) if run["run_id"] == run_id)
            if there(run):
                return dict(run)
            await asyncio.sleep(_LOOK_SECONDS)
