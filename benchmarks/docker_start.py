"""A container's start through the agent against the bare client, one at a time."""

from __future__ import annotations

import asyncio

from benchmarks import bare
from benchmarks.live_agent import LiveAgent, live_agent, target
from benchmarks.rows import Row, paired_ratio
from tonnage.v1 import agent_pb2
from tonnage.wire import to_message

_PAIRS, _WARMUP = 120, 5


async def measure() -> list[Row]:
    """One row: ratio of the medians, request to ready, in alternating order."""
    client = await asyncio.to_thread(bare.connect)
    ours, baseline = [], []
    async with live_agent("docker") as agent:
        for number in range(_WARMUP + _PAIRS):
            pair = {}
            for who in ("bare", "agent") if number % 2 else ("agent", "bare"):
                if who == "bare":
                    pair[who] = await asyncio.to_thread(bare.start_and_remove, client)
                else:
                    pair[who] = await start_and_remove(agent, "docker")
            if number >= _WARMUP:
                ours.append(pair["agent"])
                baseline.append(pair["bare"])
    value, ci = paired_ratio(ours, baseline)
    note = f"bare client p50 {sorted(baseline)[_PAIRS // 2] * 1000:.0f} ms"
    return [
        Row("docker start against a bare client, p50", value, ci, "×", 1.03, "max", _PAIRS, note)
    ]


async def start_and_remove(
    agent: LiveAgent, runtime: str, ready_timeout_seconds: float = 60.0
) -> float:
    """Launch one instance by hand and destroy it; seconds from request to ready."""
    answer = await agent.stub.Launch(
        agent_pb2.LaunchRequest(
            target=to_message(target(runtime)), ready_timeout_seconds=ready_timeout_seconds
        )
    )
    await agent.stub.DestroyInstance(
        agent_pb2.DestroyInstanceRequest(instance_id=answer.instance.instance_id)
    )
    return float(answer.trial.ready_ns) / 1e9
