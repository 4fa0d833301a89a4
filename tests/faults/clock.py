"""Wall clocks that jump, by hours and both ways, below every program in the middle of runs.

The programs run under libfaketime, which moves CLOCK_REALTIME alone, as setting a host's
clock does.
"""

from __future__ import annotations

import asyncio
import sqlite3
import subprocess
import tempfile
import time
from collections.abc import Iterator, Sequence
from contextlib import closing, contextmanager
from dataclasses import dataclass
from pathlib import Path

from benchmarks.rows import Row, zero
from tests.faults.kills import SPEC, STARTS
from tests.faults.runs import ended, state_of, submit
from tests.faults.world import World, world
from tests.proof import Proof
from tonnage.model import RunState

_STEPS = ("+1h", "-3h", "+30d", "+0")
_LONGEST_START_NS = 5_000_000_000
_LEAST_APART_NS = 1800 * 10**9  # no run here takes half an hour; the least step is one


@dataclass(frozen=True, slots=True)
class Stepped:
    """A run under a clock that jumped ``steps`` times. ``odd``: trials whose time is
    negative, flagged, or longer than it can be. ``apart_ns``: how far apart the agent's own
    clock puts the first and the last of its starts."""

    steps: int
    state: RunState
    odd: int
    proof: Proof
    apart_ns: int


async def stepped(folder: Path, pause_seconds: float, starts: int = STARTS) -> Stepped:
    """One run; the clock jumps every ``pause_seconds`` until it has ended."""
    offset = folder / "offset"
    faked = _faked(offset)
    steps = 0
    async with world(folder, ["h1"], before=faked) as made:
        with _freeing(made):
            trials = {**SPEC["startup"], "trials": starts}
            run_id = await submit(made, {**SPEC, "startup": trials}, 1)
            while (state := await state_of(made, run_id)) is None or not state.ended:
                offset.write_text(_STEPS[steps % len(_STEPS)])
                steps += 1
                await asyncio.sleep(pause_seconds)
            state = await ended(made, run_id)
            odd, apart_ns = _times(made.store, run_id)
            return Stepped(steps, state, odd, made.prove(run_id, "h1", starts), apart_ns)


@contextmanager
def _freeing(made: World) -> Iterator[None]:
    """Remove what libfaketime keeps in shared memory of programs that are then killed."""
    pids = [program.pid for program in made.programs.values()]
    try:
        yield
    finally:
        for pid in pids:
            for name in (f"faketime_shm_{pid}", f"sem.faketime_sem_{pid}"):
                Path("/dev/shm", name).unlink(missing_ok=True)


def _faked(offset: Path) -> tuple[str, ...]:
    """What a command begins with for a clock that is off by what the file says.

    Raises ``RuntimeError`` where it does not work: the loader starts a program without the
    library as if nothing were, and then no clock would jump.
    """
    faked = ("env", "LD_PRELOAD=/usr/$LIB/faketime/libfaketime.so.1",
             f"FAKETIME_TIMESTAMP_FILE={offset}",
             "FAKETIME_NO_CACHE=1", "FAKETIME_DONT_FAKE_MONOTONIC=1")  # fmt: skip
    offset.write_text("+1h")
    told = subprocess.run([*faked, "date", "+%s"], capture_output=True, text=True, check=True)
    if float(told.stdout) < time.time() + 3000:
        raise RuntimeError(f"libfaketime moves no clock: apt-get install libfaketime {told.stderr}")
    offset.write_text("+0")
    return faked


def _times(database: Path, run_id: str) -> tuple[int, int]:
    """How many trials have a time that cannot be, and over how many nanoseconds of the wall
    clock they were requested."""
    query = (
        "SELECT SUM(suspect OR ready_ns NOT BETWEEN 0 AND ?),"
        " MAX(requested_at_unix_ns) - MIN(requested_at_unix_ns)"
        " FROM trial JOIN host_run ON host_run.id = host_run_id WHERE run_id = ?"
    )
    with closing(sqlite3.connect(f"file:{database}?mode=ro", uri=True)) as store:
        odd, apart_ns = store.execute(query, (_LONGEST_START_NS, run_id)).fetchone()
        return int(odd), int(apart_ns)


def rows(found: Stepped) -> list[Row]:
    """Nothing comes of it."""
    proof, n = found.proof, found.steps
    wrong = proof.lost + proof.doubled + proof.repeated + proof.unmade
    note = f"jumps of {', '.join(_STEPS)}; run {found.state}, {proof.trials} trials"
    return [
        zero("clock steps: rows lost, doubled, repeated or unmade", wrong, n, note),
        zero("clock steps: odd times", found.odd, n),
        zero("clock steps: clocks that did not jump", int(found.apart_ns < _LEAST_APART_NS), n),
        zero("clock steps: run not finished", found.state is not RunState.FINISHED, n),
    ]


async def measure(size: float = 1.0) -> Sequence[Row]:
    """A jump every half second."""
    del size  # one run either way
    with tempfile.TemporaryDirectory(prefix="tonnage-faults-") as folder:
        return rows(await stepped(Path(folder), 0.5))
