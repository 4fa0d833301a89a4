"""Every call of both services, and the experiment file, given what nobody should send.

A server must answer each within its time, with a status that says what is wrong with the
input: INTERNAL and UNKNOWN are defects, and so is one that does not answer any more.
"""

from __future__ import annotations

import asyncio
import tempfile
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import grpc
from google.protobuf.descriptor import MethodDescriptor
from hypothesis import HealthCheck, Phase, given, seed, settings
from hypothesis import strategies as st

from benchmarks.rows import Row, zero
from collector.errors import InvalidInput
from collector.spec import parse
from tests.faults.inputs import experiments, requests
from tests.faults.world import world
from tonnage.v1 import agent_pb2, collector_pb2

_CALL_SECONDS = 5.0
_RPC_INPUTS = 80_000
_FILE_INPUTS = 30_000
_FEWEST_INPUTS = 100_000
_DEFECTS = (
    grpc.StatusCode.INTERNAL,
    grpc.StatusCode.UNAVAILABLE,
    grpc.StatusCode.UNIMPLEMENTED,
    grpc.StatusCode.UNKNOWN,
)
_SERVICES = {
    "collector": collector_pb2.DESCRIPTOR.services_by_name["CollectorService"],
    "h1": agent_pb2.DESCRIPTOR.services_by_name["AgentService"],
}


@dataclass(slots=True)
class Answers:
    """What came back: statuses by call, and each defect and each hang in a line."""

    inputs: int = 0
    statuses: Counter[str] = field(default_factory=Counter)
    defects: list[str] = field(default_factory=list)
    hangs: list[str] = field(default_factory=list)


def fuzz_calls(addresses: dict[str, str], inputs: int, answers: Answers) -> None:
    """Send ``inputs`` requests in all, the same number to each call; blocking."""
    methods = [(where, m) for where in addresses for m in _SERVICES[where].methods]
    each = max(inputs // len(methods), 1)
    for where, method in methods:
        with grpc.insecure_channel(addresses[where]) as channel:
            call = _caller(channel, method, answers)
            _given(requests(method.input_type), each, call)


def _given(inputs: st.SearchStrategy[Any], count: int, call: Callable[[Any], None]) -> None:
    """Call with so many inputs, the same ones each time."""
    settled = settings(
        max_examples=count,
        deadline=None,
        database=None,
        phases=(Phase.generate,),
        suppress_health_check=list(HealthCheck),
    )
    seed(20260101)(settled(given(inputs)(call)))()


def _caller(
    channel: grpc.Channel, method: MethodDescriptor, answers: Answers
) -> Callable[[bytes], None]:
    assert method.containing_service is not None
    path = f"/{method.containing_service.full_name}/{method.name}"
    streaming: Any = channel.unary_stream(path)
    unary: Any = channel.unary_unary(path)

    def call(data: bytes) -> None:
        answers.inputs += 1
        try:
            if method.server_streaming:
                _first(streaming(data, timeout=_CALL_SECONDS))
            else:
                unary(data, timeout=_CALL_SECONDS)
            status = "OK"
        except grpc.RpcError as error:
            status = _status(method.name, error, data, answers)
        answers.statuses[status] += 1

    return call


def _status(call: str, error: Any, data: bytes, answers: Answers) -> str:
    """The status' name; a defect or a hang is noted. What is raised is both error and call."""
    code, what = error.code(), f"{error.details()} for {data[:300]!r}"
    if code is grpc.StatusCode.DEADLINE_EXCEEDED:
        answers.hangs.append(f"{call}: {what}")
    elif code in _DEFECTS or "Traceback" in what:
        answers.defects.append(f"{call}: {code.name}: {what}")
    return str(code.name)


def _first(stream: Iterator[Any]) -> None:
    """One answer is enough: a run's stream may go on for as long as the run does."""
    next(stream, None)
    stream.cancel()  # type: ignore[attr-defined]  # a call is both, and typed as one


def fuzz_files(inputs: int, answers: Answers) -> None:
    """Read so many experiment files; only ``InvalidInput`` may come of a wrong one."""

    def read(text: str) -> None:
        answers.inputs += 1
        try:
            parse(text)
            answers.statuses["OK"] += 1
        except InvalidInput:
            answers.statuses["refused"] += 1
        except Exception as error:  # noqa: BLE001 (that is what is looked for)
            answers.defects.append(f"parse: {error!r} for {text[:300]!r}")

    _given(experiments(), inputs, read)


async def fuzz(folder: Path, rpc_inputs: int, file_inputs: int) -> tuple[Answers, Answers]:
    """Both, against servers of their own; fails when one of them does not live through it."""
    calls, files = Answers(), Answers()
    async with world(folder, ["h1"]) as made:
        addresses = {name: program.where["listening"] for name, program in made.programs.items()}
        await asyncio.to_thread(fuzz_calls, addresses, rpc_inputs, calls)
        for program in made.programs.values():
            await program.stop()  # raises unless it is alive and ends in order
    await asyncio.to_thread(fuzz_files, file_inputs, files)
    return calls, files


def _rows(answers: Answers, what: str) -> list[Row]:
    told = ", ".join(f"{count} {status}" for status, count in answers.statuses.most_common())
    return [
        zero(f"fuzzing {what}: {name}", len(found), answers.inputs, next(iter(found), told))
        for name, found in (("defects", answers.defects), ("hangs", answers.hangs))
    ]


async def measure(size: float = 1.0) -> Sequence[Row]:
    """110,000 inputs at full size."""
    with tempfile.TemporaryDirectory(prefix="tonnage-faults-") as folder:
        calls, files = await fuzz(Path(folder), int(_RPC_INPUTS * size), int(_FILE_INPUTS * size))
    inputs = calls.inputs + files.inputs
    fewest = _FEWEST_INPUTS * size
    enough = Row("fuzzing: inputs", inputs, (inputs, inputs), "", fewest, "min", inputs)
    return [enough, *_rows(calls, "every call"), *_rows(files, "experiment files")]
