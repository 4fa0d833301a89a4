"""A VM's start through the agent, against a bare subprocess, against the q35 machine.

Three ways to boot the same kernel, initramfs and kernel command line to the
same ready line, in rotating order.
"""

from __future__ import annotations

import asyncio
import os
import socket
import subprocess
import tempfile
import time
from dataclasses import replace
from pathlib import Path

import grpc.aio
import numpy as np

from agent.runtimes.qemu import open_microvm
from agent.runtimes.qemu.machine import MICROVM, Q35, Machine, microvm, qemu_arguments
from agent.runtimes.qemu.profile import Bootable
from agent.runtimes.registry import RuntimeSettings
from benchmarks.bare import MEMORY_BYTES, READY_LINE
from benchmarks.docker_start import start_and_remove
from benchmarks.live_agent import LiveAgent, live_agent, target
from benchmarks.rows import Row, paired_ratio

_ROUNDS, _BOOTS_IN_ALL = 34, 50
_HANG_SECONDS = 30.0
_BOARDS = {"microvm": MICROVM, "q35": Q35}


async def measure() -> list[Row]:
    """Rows: agent against bare, microvm against q35, hangs in fifty boots of the agent."""
    machine = await _machine()
    seconds: dict[str, list[float]] = {"agent": [], "microvm": [], "q35": []}
    async with live_agent("qemu-microvm") as agent:
        boots: list[float | None] = []
        for number in range(_ROUNDS):
            took = await _round(agent, machine, number)
            boots.append(took["agent"])
            if took["agent"] is not None:  # a hang leaves no pair to compare
                for way, value in took.items():
                    seconds[way].append(value or 0.0)
        while len(boots) < _BOOTS_IN_ALL:  # two at a time: a hang may need load to show
            boots += await asyncio.gather(_boot(agent), _boot(agent))
    hung = float(boots.count(None))
    note = f"accelerator {machine.accelerator}; a boot not ready within {_HANG_SECONDS:g} s hangs"
    return [
        _ratio("qemu-microvm start against a bare subprocess, p50", seconds, "microvm", 1.03),
        _ratio("microvm against q35, start p50", seconds, "q35", 1.0),
        Row("qemu-microvm, hangs", hung, (hung, hung), "boots", 0, "max", len(boots), note),
    ]


async def _round(agent: LiveAgent, machine: Machine, number: int) -> dict[str, float | None]:
    """One boot each way, the order turning with the round's number."""
    ways = ["agent", *_BOARDS]
    took: dict[str, float | None] = {}
    for way in ways[number % 3 :] + ways[: number % 3]:
        if way == "agent":
            took[way] = await _boot(agent)
        else:
            took[way] = await asyncio.to_thread(_bare_boot, machine, _BOARDS[way])
    return took


async def _boot(agent: LiveAgent) -> float | None:
    """Seconds of one boot through the agent, ``None`` if it hung."""
    try:
        return await start_and_remove(agent, "qemu-microvm", _HANG_SECONDS)
    except grpc.aio.AioRpcError as error:
        if error.code() is not grpc.StatusCode.FAILED_PRECONDITION:
            raise
        return None


def _ratio(name: str, seconds: dict[str, list[float]], baseline: str, limit: float) -> Row:
    value, ci = paired_ratio(seconds["agent"], seconds[baseline])
    note = f"{baseline}, bare: p50 {np.median(seconds[baseline]):.2f} s"
    return Row(name, value, ci, "×", limit, "max", len(seconds["agent"]), note)


async def _machine() -> Machine:
    """The machine that the agent would start, from the same preparation."""
    with tempfile.TemporaryDirectory(prefix="tonnage-bench-") as state:
        settings = RuntimeSettings(
            agent_id="bench",
            state_dir=Path(state),
            docker_host=os.environ.get("DOCKER_HOST"),
            guest_dir=Path("build/guest"),
            images_dir=Path("build/images"),
        )
        prepared = await open_microvm(settings).prepare(target("qemu-microvm").workload)
        bootable = prepared.payload
        if not isinstance(bootable, Bootable) or bootable.initramfs is None:
            raise TypeError(f"not a guest: {bootable!r}")
        kept = Path("build/bench/initramfs")
        kept.parent.mkdir(parents=True, exist_ok=True)
        kept.write_bytes(bootable.initramfs.read_bytes())
    return microvm(
        bootable.kernel,
        kept,
        hostname="bare",
        memory_bytes=MEMORY_BYTES,
        cpus=1,
        accelerator=bootable.accelerator,
    )


def _bare_boot(machine: Machine, board: str) -> float:
    """Seconds from before the process to its ready line."""
    console, their_console = socket.socketpair()
    monitor, their_monitor = socket.socketpair()
    fds = (their_console.fileno(), their_monitor.fileno())
    machine = replace(machine, board=board)
    command = qemu_arguments(machine, "bare", console_fd=fds[0], monitor_fd=fds[1])
    began = time.monotonic()
    with console, monitor, subprocess.Popen(command, pass_fds=fds) as process:
        their_console.close()
        their_monitor.close()
        console.settimeout(_HANG_SECONDS)
        seen = b""
        try:
            while READY_LINE not in seen:
                chunk = console.recv(65536)
                if not chunk:
                    raise RuntimeError(f"QEMU ended before the guest was ready: {seen!r}")
                seen += chunk
            return time.monotonic() - began
        finally:
            process.kill()
