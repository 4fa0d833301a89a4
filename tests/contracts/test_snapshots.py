"""What every runtime that restores from snapshots guarantees."""

from __future__ import annotations

import asyncio
from dataclasses import replace

import pytest

from agent.clock import Mark, Timeline
from agent.errors import InvalidInput, LaunchFailed
from agent.process import alive
from agent.runtimes.base import Instance, LaunchSpec, Snapshottable, Template
from tests.contracts.runtimes import Stand
from tonnage.model import CLONE_VARIANTS, Mode, Network, Target, Workload


def restored(stand: Stand, variant: str, workload: Workload) -> Target:
    """A target that is restored."""
    size = stand.kind.memory_bytes
    return Target("t", stand.kind.name, variant, Mode.RESTORE, Network.NONE, workload, size)


async def saved(stand: Stand, target: Target) -> Template:
    """A template of it."""
    runtime = stand.runtime
    assert isinstance(runtime, Snapshottable)
    prepared = await runtime.prepare(target.workload)
    return await runtime.snapshot(target, prepared, stand.scope)


async def clone(stand: Stand, target: Target, template: Template) -> tuple[Instance, Timeline]:
    """One instance restored from it, ready."""
    spec = LaunchSpec(stand.instance_id(), stand.scope, target, template.prepared, 120.0)
    timeline = Timeline()
    instance = await stand.runtime.launch(spec, timeline)
    stand.launched.append(instance)
    await stand.wait_ready(instance)
    return instance, timeline


@pytest.mark.parametrize("variant", CLONE_VARIANTS)
async def test_clones_are_instances_like_any_other(restoring: Stand, variant: str) -> None:
    target = restored(restoring, variant, restoring.kind.idle)
    template = await saved(restoring, target)
    assert template.state_bytes > 0
    assert template.seconds > 0
    first, second = await asyncio.gather(*(clone(restoring, target, template) for _ in range(2)))
    for instance, timeline in (first, second):
        for mark in (Mark.ACCEPTED, Mark.CREATED, Mark.RESTORED, Mark.READY):
            assert timeline.get(mark) is not None
        assert not any(timeline.get(mark) for mark in (Mark.KERNEL, Mark.INIT, Mark.UNIT))
        assert timeline.in_order()
        assert await instance.answers()
    assert not set(first[0].processes().pids) & set(second[0].processes().pids)
    await first[0].stop(5)
    await first[0].destroy()
    assert await second[0].answers()
    pids = second[0].processes().pids
    await second[0].destroy()
    assert not any(alive(pid) for pid in pids)
    left = await restoring.another().recover(template.instance_id)
    assert left is not None
    assert left.processes().pids == ()
    await left.destroy()
    assert await restoring.another().reap(restoring.scope) == []


async def test_a_template_whose_agent_died_is_found_and_removed(restoring: Stand) -> None:
    target = restored(restoring, "shared-ram", restoring.kind.idle)
    template = await saved(restoring, target)
    files = [path for path in template.prepared.paths if template.instance_id in str(path)]
    assert files or not restoring.kind.real
    assert await restoring.another(restoring.other_agent).recover(template.instance_id) is None
    assert await restoring.another().reap(restoring.scope) == [template.instance_id]
    assert not any(path.exists() for path in files)
    assert await restoring.another().recover(template.instance_id) is None
    spec = LaunchSpec(restoring.instance_id(), restoring.scope, target, template.prepared, 60.0)
    with pytest.raises(LaunchFailed, match="gone"):
        await restoring.runtime.launch(spec, Timeline())
    assert await restoring.another().reap(restoring.scope) == []


async def test_what_cannot_be_asked_is_not_saved(restoring: Stand) -> None:
    mute = replace(restoring.kind.idle, health=None)
    with pytest.raises(InvalidInput) as refused:
        await saved(restoring, restored(restoring, "private", mute))
    assert refused.value.problem.field == "workload.health"
    assert await restoring.another().reap(restoring.scope) == []


async def test_a_template_that_never_gets_ready_leaves_nothing(restoring: Stand) -> None:
    with pytest.raises(LaunchFailed):
        await saved(restoring, restored(restoring, "private", restoring.kind.failing))
    assert await restoring.another().reap(restoring.scope) == []


async def test_giving_up_a_template_leaves_nothing(restoring: Stand) -> None:
    saving = asyncio.ensure_future(
        saved(restoring, restored(restoring, "private", restoring.kind.hanging))
    )
    await asyncio.wait([saving], timeout=0.3)
    saving.cancel()
    with pytest.raises(asyncio.CancelledError):
        await saving
    assert await restoring.another().reap(restoring.scope) == []
