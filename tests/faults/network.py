"""A host whose cable is pulled for a minute in the middle of a run."""

from __future__ import annotations

import asyncio
import json
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from benchmarks.rows import Row, zero
from deploy.fleet.fleet import fleet
from deploy.fleet.story import submit, until
from tests.faults.kills import SPEC, STARTS
from tests.proof import Proof, prove

_HOSTS = ("h1", "h2")
_FLAGS = ("--runtimes", "fake", "--guard-memory-headroom-bytes", "1")


@dataclass(frozen=True, slots=True)
class Cut:
    """A run during which one of its hosts was cut off for ``seconds``; it ended well.

    ``meanwhile``: its state before the host was back, which is that the collector waited for
    it, or had ended the run without it.
    """

    seconds: float
    meanwhile: str
    proofs: tuple[Proof, ...]


async def cut(folder: Path, seconds: float, lost_after: float) -> Cut:
    """One run on two hosts, the second cut off once the run is under way."""
    spec = folder / "spec.json"
    spec.write_text(json.dumps(SPEC))
    async with fleet(folder, _HOSTS, _FLAGS, lambda _: None, lost_after) as made:
        run_id = await submit(made, spec, ())
        await until(made, run_id, lambda run: run["trials"] > 0)
        made.hosts["h2"].cut()
        await asyncio.sleep(seconds)
        run = await until(made, run_id, lambda _: True)
        made.hosts["h2"].mend()
        await until(made, run_id, lambda run: run["state"] == "finished")
        spools = {host: folder / host / "spool" / run_id / "events.log" for host in _HOSTS}
        proofs = [prove(made.store, spools[host], (run_id, host), STARTS) for host in _HOSTS]
    return Cut(seconds, run["state"], tuple(proofs))


def rows(what: str, found: Cut, *, given_up: bool) -> list[Row]:
    """Nothing is lost, and the host was waited for or given up as it was meant to be."""
    wrong = sum(p.lost + p.doubled + p.repeated + p.unmade for p in found.proofs)
    meant = "partial" if given_up else "running"
    note = f"cut for {found.seconds:.0f} s; the run was {found.meanwhile} then, and finished after"
    return [
        zero(f"{what}: rows lost, doubled, repeated or unmade", wrong, 1, note),
        zero(f"{what}: ended otherwise than meant", found.meanwhile != meant, 1, note),
    ]


async def measure(size: float = 1.0) -> Sequence[Row]:
    """60 s at full size: once waited for, once given up meanwhile."""
    found: list[Row] = []
    cases = (("cut network", 300.0, False), ("cut network, host given up", 5.0, True))
    for what, lost_after, given_up in cases:
        with tempfile.TemporaryDirectory(prefix="tonnage-faults-") as folder:
            done = await cut(Path(folder), max(60 * size, 8.0), lost_after)
            found += rows(what, done, given_up=given_up)
    return found
