"""Containers per second with four in flight: a real run's against four bare threads."""

from __future__ import annotations

import time
from concurrent.futures import ThreadPoolExecutor
from uuid import uuid4

import numpy as np
from docker.api.client import APIClient

from benchmarks import bare
from benchmarks.live_agent import LiveAgent, live_agent, target
from benchmarks.rows import Row, paired_ratio
from tonnage.model import Plan, Stage, StartupStage, TargetTrials
from tonnage.v1 import agent_pb2, model_pb2
from tonnage.wire import to_message

# So many starts are one batch of a startup stage: the host is drained at its end alone.
_ROUNDS, _STARTS, _IN_FLIGHT = 16, 20, 4


async def measure() -> list[Row]:
    """One row: the ratio of the mean rates over alternating rounds."""
    clients = [bare.connect() for _ in range(_IN_FLIGHT)]
    ours, baseline = [], []
    async with live_agent("docker") as agent:
        await _rate_of_a_run(agent)
        for number in range(_ROUNDS):
            if number % 2:
                ours.append(await _rate_of_a_run(agent))
                baseline.append(_rate_of_threads(clients))
            else:
                baseline.append(_rate_of_threads(clients))
                ours.append(await _rate_of_a_run(agent))
    value, ci = paired_ratio(ours, baseline, lambda rows: np.mean(rows, axis=-1))
    note = f"{_IN_FLIGHT} in flight, {_STARTS} starts a round; bare {np.mean(baseline):.1f}/s"
    name = "docker launch rate against a bare client"
    return [Row(name, value, ci, "×", 0.97, "min", _ROUNDS, note)]


def _rate_of_threads(clients: list[APIClient]) -> float:
    began = time.monotonic()
    with ThreadPoolExecutor(len(clients)) as threads:
        list(threads.map(lambda i: _share(clients[i]), range(len(clients))))
    return _STARTS / (time.monotonic() - began)


def _share(client: APIClient) -> None:
    for _ in range(_STARTS // _IN_FLIGHT):
        bare.start_and_remove(client)


async def _rate_of_a_run(agent: LiveAgent) -> float:
    """A startup stage through StartRun, timed from its first request to its last removal."""
    stage = StartupStage((TargetTrials("docker", _STARTS),), 0, (_IN_FLIGHT,), 60.0)
    plan = Plan(
        run_id=f"bench-{uuid4().hex[:8]}",
        seed=1,
        targets=(target("docker"),),
        stages=(Stage("startup", stage),),
        noisy_above_share=0.2,
        time_limit_seconds=300.0,
    )
    await agent.stub.StartRun(agent_pb2.StartRunRequest(plan=to_message(plan)))
    trials, ends = {}, {}
    async for batch in agent.stub.StreamEvents(
        agent_pb2.StreamEventsRequest(run_id=plan.run_id, after_sequence=0)
    ):
        for event in batch.events:
            if event.HasField("trial"):
                trials[event.trial.trial_id] = event.trial
            if event.HasField("trial_end"):
                ends[event.trial_end.trial_id] = event.trial_end
    if len(ends) != _STARTS or any(t.outcome != model_pb2.OUTCOME_READY for t in trials.values()):
        raise RuntimeError(f"{len(ends)} of {_STARTS} starts were made, or some were not ready")
    first = min(trial.requested_at_unix_ns for trial in trials.values())
    last = max(trials[name].requested_at_unix_ns + end.destroyed_ns for name, end in ends.items())
    return len(ends) / ((last - first) / 1e9)
