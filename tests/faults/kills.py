"""Random kill -9s of programs in the middle of runs."""

from __future__ import annotations

import asyncio
import random
import tempfile
from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Protocol

from benchmarks.rows import Row, zero
from tests.faults.runs import ended, state_of, submit
from tests.faults.world import World, world
from tests.proof import Proof
from tonnage.model import RunState

HOSTS = ("h1", "h2")
_KILLS, _WORLDS = 200, 2
_TIDY_SECONDS = 30.0
STARTS, _CONCURRENCY, _COUNTS, _MOST = 600, 4, (2, 6), 12

# Each start takes its time, so that a kill finds some in flight; each instance is a
# file that outlives its agent, so that one left behind is seen.
SPEC: dict[str, Any] = {
    "name": "kills",
    "targets": [{"runtime": "fake"}],
    "workload": {
        "image": "fake:ok",
        "readiness": {"log": "TONNAGE READY"},
        "environment": {"FAKE_DURABLE": "1", "FAKE_READY_MS": "12", "FAKE_JITTER_MS": "8"},
    },
    "startup": {"trials": STARTS, "warmup": 0, "concurrency": [_CONCURRENCY]},
    "footprint": {"counts": list(_COUNTS), "repeats": 2, "settle": "20ms"},
    "density": {"step": 2, "max_instances": _MOST, "probes": 2, "settle": "20ms"},
}


class Victim(Protocol):
    """What can be killed, and comes back."""

    async def kill(self) -> None:
        """End it as a power cut would."""

    async def start(self) -> None:
        """Start it again, and wait until it serves."""


@dataclass(frozen=True, slots=True)
class Campaign:
    """``count`` kills during runs of ``spec``, each of which is known to make ``planned``
    trials on every host, or none where a run may be cut short; ``left`` counts the instances
    that exist."""

    spec: Mapping[str, Any]
    planned: int | None
    count: int
    left: Callable[[], int]
    ends: frozenset[RunState] = frozenset({RunState.FINISHED})
    pause_seconds: tuple[float, float] = (0.05, 0.9)
    seed: int = 20260101


class Deck:
    """Deals victims at random, each as often as the others."""

    def __init__(self, victims: Iterable[str], draw: random.Random) -> None:
        self._victims = sorted(victims)
        self._left: list[str] = []
        self.draw = draw

    def deal(self) -> list[str]:
        """One or two, by name."""
        return sorted({self._next() for _ in range(self.draw.choice((1, 1, 1, 2)))})

    def _next(self) -> str:
        if not self._left:
            self._left = self.draw.sample(self._victims, len(self._victims))
        return self._left.pop()


@dataclass(slots=True)
class Toll:
    """What the kills came to: by kind of victim; how the runs ended; what they left.
    ``counted``: whether it was known how many trials there must be."""

    kills: Counter[str] = field(default_factory=Counter)
    states: Counter[RunState] = field(default_factory=Counter)
    proofs: list[Proof] = field(default_factory=list)
    left: int = 0
    unforeseen: int = 0
    counted: bool = True


async def fight(made: World, victims: Mapping[str, Victim], plan: Campaign) -> Toll:
    """Make runs, one after another, and kill until there were enough; prove each run."""
    toll = Toll(counted=plan.planned is not None)
    deck = Deck(victims, random.Random(plan.seed))
    while sum(toll.kills.values()) < plan.count:
        run_id = await submit(made, plan.spec, len(made.agents))
        await _kill_during(made, run_id, victims, plan, toll, deck)
        state = await ended(made, run_id)
        toll.states[state] += 1
        toll.unforeseen += state not in plan.ends
        toll.proofs += [made.prove(run_id, host, plan.planned or 0) for host in made.agents]
    toll.left = await _left(plan)
    return toll


async def _left(plan: Campaign) -> int:
    """What is left once agents had their time to remove it."""
    with suppress(TimeoutError):
        async with asyncio.timeout(_TIDY_SECONDS):
            while plan.left():  # noqa: ASYNC110 - an engine is looked at
                await asyncio.sleep(0.2)
            return 0
    return plan.left()


async def _kill_during(
    made: World,
    run_id: str,
    victims: Mapping[str, Victim],
    plan: Campaign,
    toll: Toll,
    deck: Deck,
) -> None:
    """Kill one or two at random moments and start them again, for as long as the run goes on."""
    while sum(toll.kills.values()) < plan.count:
        await asyncio.sleep(deck.draw.uniform(*plan.pause_seconds))
        state = await state_of(made, run_id)
        if state is not None and state.ended:
            return
        chosen = deck.deal()
        for name in chosen:
            await victims[name].kill()
            toll.kills["agent" if name in made.agents else name] += 1
        await asyncio.sleep(deck.draw.uniform(0.0, 0.3))
        for name in chosen:  # collector and engine come before the agents that need them
            await victims[name].start()


def rows(toll: Toll, what: str) -> list[Row]:
    """Each must be zero."""
    kills = sum(toll.kills.values())
    by_kind = ", ".join(f"{count} {name}" for name, count in sorted(toll.kills.items()))
    states = ", ".join(f"{count} {state}" for state, count in sorted(toll.states.items()))
    trials, ready = (sum(p.trials for p in toll.proofs), sum(p.ready for p in toll.proofs))
    note = f"kill -9: {by_kind}; runs: {states}; {trials} trials, {ready} ready"
    found = {
        "events lost": sum(proof.lost for proof in toll.proofs),
        "rows doubled": sum(proof.doubled for proof in toll.proofs),
        "finished trials repeated": sum(proof.repeated for proof in toll.proofs),
        "runs that ended otherwise than foreseen": toll.unforeseen,
        "instances left": toll.left,
        "runs in which nothing became ready": sum(p.ready == 0 for p in toll.proofs),
    }
    if toll.counted:
        found["planned starts without an outcome"] = sum(p.unmade for p in toll.proofs)
    return [zero(f"{what}: {name}", value, kills, note) for name, value in found.items()]


async def fake_kills(folder: Path, count: int, seed: int) -> Toll:
    """Kills of two agents and the collector; the fake runtime at speed."""
    async with world(folder, HOSTS) as made:
        plan = Campaign(SPEC, STARTS, count, lambda: len(made.fakes()), seed=seed)
        return await fight(made, made.programs, plan)


def together(tolls: Sequence[Toll]) -> Toll:
    """The toll of several campaigns."""
    return Toll(
        kills=sum((toll.kills for toll in tolls), Counter()),
        states=sum((toll.states for toll in tolls), Counter()),
        proofs=[proof for toll in tolls for proof in toll.proofs],
        left=sum(toll.left for toll in tolls),
        unforeseen=sum(toll.unforeseen for toll in tolls),
        counted=all(toll.counted for toll in tolls),
    )


async def measure(size: float = 1.0) -> Sequence[Row]:
    """200 kills at full size, in two worlds side by side."""
    count = max(int(_KILLS * size / _WORLDS), 1)
    with tempfile.TemporaryDirectory(prefix="tonnage-faults-") as folder:
        worlds = [fake_kills(Path(folder, str(seed)), count, seed) for seed in range(_WORLDS)]
        tolls = await asyncio.gather(*worlds)
    return rows(together(tolls), "fake runtime")
