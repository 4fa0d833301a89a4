"""VMs restored from a snapshot, against the same guest booted cold; and what each weighs.

Starts in rounds, one of each kind a round, their order turning. A cold boot finds
none of its files in the page cache. Memory is the slope from one instance to
``_MOST``, by each estimator; the rows take PSS, the notes have all.
"""

from __future__ import annotations

import asyncio
import os
import secrets
import tempfile
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import numpy as np

from agent.clock import Mark, Timeline
from agent.probes import pagecache
from agent.probes.base import Roots
from agent.probes.sampling import Sampler
from agent.runtimes.base import LaunchSpec, Prepared, Scope
from agent.runtimes.qemu import QemuRuntime, open_microvm
from agent.runtimes.qemu.instance import QemuInstance
from agent.runtimes.registry import RuntimeSettings
from benchmarks.bare import MEMORY_BYTES, READY_LINE
from benchmarks.rows import Row, paired_ratio
from tonnage.model import (
    CLONE_VARIANTS,
    ConsoleHealth,
    LogReadiness,
    Mode,
    Network,
    Sample,
    Target,
    Workload,
)

_ROUNDS, _MOST = 12, 6
_READY_SECONDS, _SETTLE_SECONDS = 120.0, 1.0
_RATIO, _SLOPE_RATIO = 0.15, 0.35  # the issue's own figures
_PLAIN = "direct"
_SCOPE = Scope("bench-restore", "bench")
_IDLE = Workload(
    "idle",
    "tonnage/idle:1",
    LogReadiness(READY_LINE.decode()),
    health=ConsoleHealth("ping", "pong"),
)
_ESTIMATORS = ("pss_bytes", "cgroup_bytes", "vmm_overhead_bytes", "mem_available_bytes")


async def measure() -> list[Row]:
    """Rows: starts of both kinds of clones against a cold boot, and their memory."""
    async with _runtime() as runtime:
        given = await _prepared(runtime)
        seconds = await _starts(runtime, given)
        slopes = {kind: await _slopes(runtime, kind, given[kind]) for kind in given}
    rows = [_start_row(kind, seconds) for kind in CLONE_VARIANTS]
    return [*rows, *(_memory_row(kind, slopes) for kind in CLONE_VARIANTS)]


@asynccontextmanager
async def _runtime() -> AsyncIterator[QemuRuntime]:
    """The runtime with a state of its own on the checkout's disk, gone afterwards."""
    Path("build/bench").mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir="build/bench") as state:
        settings = RuntimeSettings(
            agent_id=_SCOPE.agent_id,
            state_dir=Path(state),
            docker_host=os.environ.get("DOCKER_HOST"),
            guest_dir=Path("build/guest"),
            images_dir=Path("build/images"),
        )
        runtime = open_microvm(settings)
        try:
            yield runtime
        finally:
            await runtime.reap(_SCOPE)
            await runtime.close()


def _target(kind: str) -> Target:
    mode = Mode.WARM if kind == _PLAIN else Mode.RESTORE
    return Target(kind, "qemu-microvm", kind, mode, Network.NONE, _IDLE, MEMORY_BYTES)


async def _prepared(runtime: QemuRuntime) -> dict[str, Prepared]:
    """What each kind starts from."""
    plain = await runtime.prepare(_IDLE)
    given = {_PLAIN: plain}
    for kind in CLONE_VARIANTS:
        given[kind] = (await runtime.snapshot(_target(kind), plain, _SCOPE)).prepared
    return given


async def _start(runtime: QemuRuntime, kind: str, prepared: Prepared) -> tuple[QemuInstance, float]:
    """A ready instance, and the seconds from its request."""
    name = f"bench-{secrets.token_hex(4)}"
    spec = LaunchSpec(name, _SCOPE, _target(kind), prepared, lifetime_seconds=600)
    timeline = Timeline()
    instance = await runtime.launch(spec, timeline)
    async with asyncio.timeout(_READY_SECONDS):
        await instance.ready()
    return instance, (timeline.get(Mark.READY) or 0) / 1e9


async def _starts(runtime: QemuRuntime, given: dict[str, Prepared]) -> dict[str, list[float]]:
    """Seconds of every start; before a boot its files leave the page cache."""
    seconds: dict[str, list[float]] = {kind: [] for kind in given}
    plain = await asyncio.to_thread(runtime.start_files, _target(_PLAIN), given[_PLAIN])
    files = pagecache.regular_files(plain)
    for number in range(_ROUNDS):
        kinds = [*given]
        for kind in kinds[number % 3 :] + kinds[: number % 3]:
            deadline = time.monotonic() + _READY_SECONDS
            cool = pagecache.evict if kind == _PLAIN else pagecache.read_back
            await asyncio.to_thread(cool, files, deadline)
            instance, took = await _start(runtime, kind, given[kind])
            await instance.destroy()
            seconds[kind].append(took)
    return seconds


async def _slopes(runtime: QemuRuntime, kind: str, prepared: Prepared) -> dict[str, float]:
    """Bytes of one more instance by each estimator."""
    sampler, instances = Sampler(Roots()), list[QemuInstance]()
    samples: list[Sample] = []
    try:
        for count in range(1, _MOST + 1):
            instances.append((await _start(runtime, kind, prepared))[0])
            await asyncio.sleep(_SETTLE_SECONDS)  # what is freed late would be laid to the next
            if not all([await instance.alive() for instance in instances]):
                raise RuntimeError(f"one of {count} machines of the kind {kind} has died")
            views = [instance.processes() for instance in instances]
            samples.append(
                await asyncio.to_thread(sampler.sample, views, alive=count, answering=count)
            )
    finally:
        for instance in instances:
            await instance.destroy()
    counts = np.arange(1, _MOST + 1)
    return {
        name: float(np.polyfit(counts, [getattr(s, name) or 0 for s in samples], 1)[0])
        for name in _ESTIMATORS
    }


def _start_row(kind: str, seconds: dict[str, list[float]]) -> Row:
    value, ci = paired_ratio(seconds[kind], seconds[_PLAIN])
    note = f"p50 {np.median(seconds[kind]):.3f} s; cold boot {np.median(seconds[_PLAIN]):.2f} s"
    name = f"restore ({kind}) / cold boot of the same guest, p50"
    return Row(name, value, ci, "×", _RATIO, "max", len(seconds[kind]), note)


def _memory_row(kind: str, slopes: dict[str, dict[str, float]]) -> Row:
    """Only the kind that shares its memory is to weigh less; the other is told beside it."""
    of, plain = slopes[kind], slopes[_PLAIN]
    value = of["pss_bytes"] / plain["pss_bytes"]
    told = (
        f"{name.removesuffix('_bytes')} {abs(of[name]) / 1e6:.0f}/{abs(plain[name]) / 1e6:.0f} MB"
        for name in _ESTIMATORS
    )
    limit = _SLOPE_RATIO if kind == "shared-ram" else 1.5
    name = f"memory slope, {kind} / plain VM, PSS"
    return Row(name, value, (value, value), "×", limit, "max", _MOST, ", ".join(told))
