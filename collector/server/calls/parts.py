"""What the calls are made of."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from grpc import aio

from collector.conductor.conductor import Conductor
from collector.fleet import Fleet
from collector.server.outcomes import Outcomes
from collector.server.submission import Submission
from collector.stores.base import Store
from tonnage.v1 import collector_pb2_grpc

Context = aio.ServicerContext[Any, Any]


@dataclass(frozen=True, slots=True)
class Parts:
    """The collector's parts that calls are answered from."""

    store: Store
    fleet: Fleet
    conductor: Conductor
    submission: Submission
    outcomes: Outcomes


class Calls(collector_pb2_grpc.CollectorServiceServicer):
    """Holds the parts."""

    def __init__(self, parts: Parts) -> None:
        self.parts = parts
