"""Runs with everything in them, as a collector leaves them in a store."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import asdict, replace

from collector.model import KeptResult, RunData
from collector.results.document import assemble
from collector.stores.base import Store
from tonnage import __version__, wire
from tonnage.model import Event, FootprintPoint, Payload, RunFinished, RunState, Step
from tonnage.v1 import model_pb2


def _events(data: RunData, host: str) -> Iterator[Payload]:
    for row in data.trials:
        if row.host == host:
            yield row.trial
            if row.end is not None:
                yield row.end
    for fact in data.facts:
        if fact.host == host:
            yield _storable(fact.fact)
    yield RunFinished(RunState.FINISHED)


def _messages(data: RunData, host: str) -> list[model_pb2.Event]:
    began = data.run.started_at_unix_ns
    return [
        wire.to_message(Event(sequence, began + sequence, payload))
        for sequence, payload in enumerate(_events(data, host), 1)
    ]


def _storable(fact: Payload) -> Payload:
    """Noise takes the readings of an empty host below zero, which no wire carries."""
    if isinstance(fact, Step | FootprintPoint):
        read = {n: v for n, v in asdict(fact.sample).items() if isinstance(v, int) and v < 0}
        return replace(fact, sample=replace(fact.sample, **dict.fromkeys(read, 0)))
    return fact


async def keep(store: Store, data: RunData) -> None:
    """Store a run that has ended, event by event, and its result."""
    run_id, finished = data.run.run_id, data.run.finished_at_unix_ns
    assert finished is not None
    pending = replace(data.run, state=RunState.PENDING, finished_at_unix_ns=None)
    await store.create_run(pending, data.hosts)
    for each in data.hosts:
        await store.append(run_id, each.host, _messages(data, each.host))
    await store.set_run_state(run_id, RunState.FINISHED, finished_at_unix_ns=finished, problem=None)
    stored = await store.load(run_id)
    events = sum(host.high_water for host in stored.hosts)
    result = assemble(stored).model_dump_json()
    assert await store.keep_result(
        KeptResult(run_id, finished, events, __version__, finished, result)
    )
