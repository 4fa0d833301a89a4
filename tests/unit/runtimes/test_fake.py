"""The fake does what image and environment ask of it."""

from __future__ import annotations

import asyncio
import signal
import sys
import time
from pathlib import Path

import pytest

from agent.clock import Mark, Timeline
from agent.errors import (
    ImageNotFound,
    InstanceExited,
    InstanceLeaked,
    InvalidInput,
    LaunchFailed,
    RuntimeUnavailable,
)
from agent.runtimes.base import Instance, LaunchSpec, Scope
from agent.runtimes.fake import FakeRuntime
from agent.runtimes.registry import RuntimeSettings
from tonnage.model import LogReadiness, Mode, Network, Target, Workload

AGENT = "agent-f"


@pytest.fixture
def runtime(tmp_path: Path) -> FakeRuntime:
    return FakeRuntime(RuntimeSettings(AGENT, tmp_path))


async def launch(
    runtime: FakeRuntime,
    image: str = "fake:ok",
    instance_id: str = "one",
    timeline: Timeline | None = None,
    **environment: str,
) -> Instance:
    workload = Workload("w", image, LogReadiness("READY"), environment=environment)
    prepared = await runtime.prepare(workload)
    target = Target("t", "fake", "default", Mode.WARM, Network.NONE, workload, 0)
    spec = LaunchSpec(instance_id, Scope(AGENT, "run"), target, prepared, 60.0)
    return await runtime.launch(spec, timeline or Timeline())


async def test_any_other_image_is_fine_so_specs_can_name_it_beside_real_ones(
    runtime: FakeRuntime,
) -> None:
    instance = await launch(runtime, "tonnage/idle:1")
    await instance.ready()
    assert await instance.answers()


async def test_images_that_do_not_exist_are_told(runtime: FakeRuntime) -> None:
    for image in ("fake:missing", "fake:anything"):
        with pytest.raises(ImageNotFound):
            await launch(runtime, image)


@pytest.mark.parametrize("value", ["soon", "-1", "inf", "nan"])
async def test_numbers_must_be_numbers(runtime: FakeRuntime, value: str) -> None:
    with pytest.raises(InvalidInput) as caught:
        await launch(runtime, FAKE_READY_MS=value)
    assert caught.value.problem.field == "workload.environment.FAKE_READY_MS"
    assert caught.value.problem.value == value


async def test_latencies_are_those_asked_for(runtime: FakeRuntime) -> None:
    timeline = Timeline()
    instance = await launch(
        runtime, timeline=timeline, FAKE_ACCEPT_MS="5", FAKE_CREATE_MS="10", FAKE_READY_MS="20"
    )
    await instance.ready()
    marks = [timeline.get(mark) or 0 for mark in (Mark.ACCEPTED, Mark.CREATED, Mark.READY)]
    assert marks[0] >= 4_500_000
    assert marks[1] - marks[0] >= 9_000_000
    assert marks[2] - marks[1] >= 19_000_000


async def test_draws_depend_on_id_and_seed_alone(runtime: FakeRuntime, tmp_path: Path) -> None:
    async def failures(seed: str) -> list[int]:
        again = FakeRuntime(RuntimeSettings(AGENT, tmp_path))
        failed = []
        for number in range(60):
            instance = await launch(
                again, instance_id=f"i{number}", FAKE_FAIL_RATE="0.3", FAKE_SEED=seed
            )
            try:
                await instance.ready()
            except InstanceExited:
                failed.append(number)
            await instance.destroy()
        return failed

    first = await failures("7")
    assert first == await failures("7")
    assert first != await failures("8")
    assert 5 < len(first) < 35


async def test_it_can_die_after_ready(runtime: FakeRuntime) -> None:
    instance = await launch(runtime, "fake:die", FAKE_DIE_MS="5")
    await instance.ready()
    assert await instance.alive()
    async with asyncio.timeout(5):
        while await instance.alive():  # noqa: ASYNC110 (it dies on a timer of its own)
            await asyncio.sleep(0.001)
    await instance.destroy()


async def test_it_can_be_mute(runtime: FakeRuntime) -> None:
    instance = await launch(runtime, "fake:mute")
    await instance.ready()
    assert await instance.alive()
    assert not await instance.answers()


async def test_it_can_lie_about_the_order_of_things(runtime: FakeRuntime) -> None:
    timeline = Timeline()
    instance = await launch(runtime, "fake:early", timeline=timeline)
    await instance.ready()
    assert not timeline.in_order()


async def test_it_can_leak_once(runtime: FakeRuntime) -> None:
    instance = await launch(runtime, "fake:leak")
    with pytest.raises(InstanceLeaked):
        await instance.destroy()
    assert await instance.alive()
    await instance.destroy()
    assert not await instance.alive()


async def test_a_leak_makes_a_reap_fail_after_all_others_are_gone(runtime: FakeRuntime) -> None:
    await launch(runtime, "fake:leak", "leaky")
    honest = await launch(runtime, "fake:ok", "honest")
    with pytest.raises(InstanceLeaked, match="leaky"):
        await runtime.reap(Scope(AGENT))
    assert not await honest.alive()
    assert await runtime.reap(Scope(AGENT)) == ["leaky"]


async def test_its_engine_can_be_gone_and_its_host_full(runtime: FakeRuntime) -> None:
    with pytest.raises(RuntimeUnavailable):
        await launch(runtime, "fake:gone")
    for number in range(3):
        await launch(runtime, instance_id=f"i{number}", FAKE_CAPACITY="3")
    with pytest.raises(LaunchFailed, match="full"):
        await launch(runtime, instance_id="i3", FAKE_CAPACITY="3")
    with pytest.raises(LaunchFailed, match="exists"):
        await launch(runtime, instance_id="i0")


async def test_it_launches_thousands_a_second(runtime: FakeRuntime) -> None:
    count = 2000
    began = time.perf_counter()
    for number in range(count):
        instance = await launch(runtime, instance_id=f"i{number}")
        await instance.ready()
        await instance.destroy()
    assert count / (time.perf_counter() - began) > 2000


_CHILD = """
import asyncio, sys
from pathlib import Path
from agent.runtimes.fake import FakeRuntime
from agent.runtimes.registry import RuntimeSettings
from tests.unit.runtimes.test_fake import AGENT, launch

async def main():
    runtime = FakeRuntime(RuntimeSettings(AGENT, Path(sys.argv[1])))
    for name in ("kept-1", "kept-2"):
        await (await launch(runtime, instance_id=name, FAKE_DURABLE="1")).ready()
    await (await launch(runtime, instance_id="in-memory")).ready()
    print("up", flush=True)
    await asyncio.Event().wait()

asyncio.run(main())
"""


async def test_a_durable_one_outlives_the_kill_of_its_process(
    runtime: FakeRuntime, tmp_path: Path
) -> None:
    child = await asyncio.create_subprocess_exec(
        sys.executable, "-c", _CHILD, tmp_path, stdout=asyncio.subprocess.PIPE
    )
    assert child.stdout is not None
    assert await child.stdout.readline() == b"up\n"
    child.send_signal(signal.SIGKILL)
    await child.wait()
    await child.stdout.read()
    assert await runtime.recover("in-memory") is None
    kept = await runtime.recover("kept-1")
    assert kept is not None
    assert await kept.alive()
    assert sorted(await runtime.reap(Scope(AGENT))) == ["kept-1", "kept-2"]
    assert not await kept.alive()
    assert await runtime.recover("kept-2") is None
