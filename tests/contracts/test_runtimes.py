"""What every runtime guarantees: one suite, run over each of them, the fake included."""

from __future__ import annotations

import asyncio
import json
import os
import signal
from dataclasses import replace

import pytest

from agent import memory_group
from agent.clock import Mark, Timeline
from agent.errors import ImageNotFound, InstanceExited, NoAnswer
from agent.process import alive as process_alive
from agent.process import cgroup_pids
from agent.runtimes.base import Conversing, Instance, ParentGroup, Scope
from tests.contracts.runtimes import Stand
from tonnage.model import RuntimeState


async def test_a_host_that_can_launch_says_so(stand: Stand) -> None:
    found = await stand.runtime.fingerprint()
    assert found.runtime == stand.runtime.name == stand.kind.name
    assert found.state is RuntimeState.HEALTHY, found.reason
    assert found.reason
    assert found.version
    assert found.networks
    assert set(found.networks) <= set(stand.runtime.capabilities.networks)
    assert {"log"} <= set(found.readiness) <= set(stand.runtime.capabilities.readiness)


async def test_an_instance_lives_from_launch_to_destroy(stand: Stand) -> None:
    instance = await stand.ready()
    assert await instance.alive()
    assert await instance.answers()
    await instance.destroy()
    assert not await instance.alive()
    assert not await instance.answers()
    assert await stand.another().recover(instance.id) is None


async def test_a_workload_that_is_asked_answers_and_one_that_is_gone_does_not(
    stand: Stand,
) -> None:
    instance = await stand.ready()
    assert isinstance(instance, Conversing)
    assert (await instance.ask("mark m-1", "TONNAGE MARKED m-1", 20.0)).endswith("m-1")
    said = await instance.ask("facts", "TONNAGE END", 20.0)
    facts = json.loads(said.partition("TONNAGE FACTS ")[2].partition("\n")[0])
    assert "m-1" in facts["files"]
    assert any("m-1" in command for command in facts["processes"])
    assert bool(facts["boot_id"]) == stand.kind.tells_boot_id
    assert facts["hostname"]
    with pytest.raises(NoAnswer):
        await instance.ask("something else", "an answer", 0.05)
    assert await instance.answers()
    await instance.destroy()
    with pytest.raises(NoAnswer):
        await instance.ask("ping", "pong", 5.0)


async def test_marks_come_in_order_and_all_of_them(stand: Stand) -> None:
    timeline = Timeline()
    instance = await stand.ready(timeline)
    assert (timeline.get(Mark.ACCEPTED) or 0) > 0
    assert timeline.get(Mark.CREATED) is not None
    assert timeline.get(Mark.READY) is not None
    assert timeline.get(Mark.STOPPED) is None
    await instance.destroy()
    assert timeline.get(Mark.STOPPED) is not None
    assert timeline.get(Mark.DESTROYED) is not None
    assert timeline.in_order()


async def test_preparing_twice_gives_the_same_digest(stand: Stand) -> None:
    first = await stand.runtime.prepare(stand.kind.idle)
    second = await stand.another().prepare(stand.kind.idle)
    assert first.digest == second.digest
    assert first.digest.startswith("sha256:")
    if stand.kind.real:
        assert first.paths
        assert all(path.exists() for path in first.paths)


async def test_an_image_that_is_missing_is_named_with_the_way_out(stand: Stand) -> None:
    with pytest.raises(ImageNotFound) as caught:
        await stand.runtime.prepare(stand.kind.missing)
    problem = caught.value.problem
    assert problem.field == "workload.image"
    assert problem.value == stand.kind.missing.image
    assert problem.remedy


async def test_destroying_twice_is_as_good_as_once(stand: Stand) -> None:
    timeline = Timeline()
    instance = await stand.running(timeline)
    await instance.destroy()
    destroyed = timeline.get(Mark.DESTROYED)
    await instance.destroy()
    assert timeline.get(Mark.DESTROYED) == destroyed


async def test_destroying_at_the_same_time_is_as_good_as_once(stand: Stand) -> None:
    instance = await stand.running()
    await asyncio.gather(instance.destroy(), instance.destroy())
    assert not await instance.alive()


async def test_destroying_before_ready_leaves_nothing(stand: Stand) -> None:
    timeline = Timeline()
    instance = await stand.launch(timeline=timeline)
    await instance.destroy()
    assert not await instance.alive()
    assert timeline.in_order()
    assert await stand.another().recover(instance.id) is None


async def test_ready_ends_when_the_instance_is_destroyed_under_it(stand: Stand) -> None:
    instance = await stand.launch(stand.kind.hanging)
    waiting = asyncio.ensure_future(instance.ready())
    await asyncio.sleep(0)
    await instance.destroy()
    with pytest.raises(InstanceExited):
        await asyncio.wait_for(waiting, 20)


@pytest.mark.parametrize("after_seconds", [0.0, 0.001, 0.01, 0.03, 0.06])
async def test_cancelling_a_launch_leaves_nothing(stand: Stand, after_seconds: float) -> None:
    prepared = await stand.runtime.prepare(stand.kind.idle)
    spec = stand.spec(prepared)
    launching = asyncio.ensure_future(stand.runtime.launch(spec, Timeline()))
    await asyncio.wait([launching], timeout=after_seconds)
    if launching.done():  # too late: then it is an instance like any other
        await launching.result().destroy()
    else:
        launching.cancel()
        with pytest.raises(asyncio.CancelledError):
            await launching
    assert await stand.another().recover(spec.instance_id) is None
    assert await stand.another().reap(stand.scope) == []


async def test_two_launches_at_once_do_not_disturb_each_other(stand: Stand) -> None:
    first_time, second_time = Timeline(), Timeline()
    first, second = await asyncio.gather(stand.ready(first_time), stand.ready(second_time))
    await first.destroy()
    assert await second.alive()
    assert await second.answers()
    await second.destroy()
    assert first_time.in_order()
    assert second_time.in_order()


async def test_waiting_for_ready_can_be_given_up_and_taken_up_again(stand: Stand) -> None:
    timeline = Timeline()
    instance = await stand.launch(timeline=timeline)
    waiting = asyncio.ensure_future(instance.ready())
    await asyncio.sleep(0)
    waiting.cancel()
    await asyncio.wait([waiting])
    await stand.wait_ready(instance)
    assert timeline.get(Mark.READY) is not None


async def test_a_workload_that_ends_early_tells_why(stand: Stand) -> None:
    timeline = Timeline()
    instance = await stand.launch(stand.kind.failing, timeline)
    with pytest.raises(InstanceExited) as caught:
        await stand.wait_ready(instance)
    assert caught.value.evidence
    assert timeline.get(Mark.READY) is None
    if stand.kind.real:
        assert "broken heart" in caught.value.evidence
        assert "3" in str(caught.value)
    assert not await instance.alive()
    assert instance.processes().pids == ()
    await instance.destroy()


async def test_a_workload_that_never_gets_ready_is_bounded_by_the_caller(stand: Stand) -> None:
    instance = await stand.launch(stand.kind.hanging)
    if stand.kind.real:
        await _eventually_says(instance, "not yet", stand.kind.ready_seconds)
    with pytest.raises(TimeoutError):
        async with asyncio.timeout(0.1):
            await instance.ready()
    assert await instance.alive()
    assert instance.evidence()
    await instance.destroy()
    assert instance.evidence()


async def _eventually_says(instance: Instance, text: str, within_seconds: float) -> None:
    async with asyncio.timeout(within_seconds):
        while text not in instance.evidence():  # noqa: ASYNC110 (evidence has no event)
            await asyncio.sleep(0.02)


async def test_all_processes_are_told_and_all_are_gone_after(stand: Stand) -> None:
    instance = await stand.running()
    view = instance.processes()
    if stand.kind.real:
        assert view.pids
        assert len(set(view.pids)) == len(view.pids)
        assert all(process_alive(pid) for pid in view.pids)
        assert all(folder.is_dir() for folder in view.cgroups.values())
    await instance.alive()
    assert all(path.exists() for path in instance.processes().paths)
    await instance.destroy()
    assert instance.processes().pids == ()
    assert not any(process_alive(pid) for pid in view.pids)
    assert not any(path.exists() for path in view.paths)


async def test_an_instance_that_dies_is_found_dead(stand: Stand) -> None:
    instance = await stand.running()
    if stand.kind.real:
        os.kill(instance.processes().pids[0], signal.SIGKILL)
    else:
        await instance.stop(0)
    async with asyncio.timeout(10):
        while await instance.alive():  # noqa: ASYNC110 (a death elsewhere has no event for us)
            await asyncio.sleep(0.005)
    assert not await instance.answers()
    await instance.destroy()


async def test_stop_ends_it_and_may_be_repeated(stand: Stand) -> None:
    timeline = Timeline()
    instance = await stand.running(timeline)
    await instance.stop(0.5)
    assert not await instance.alive()
    assert timeline.get(Mark.STOPPED) is not None
    await instance.stop(0.5)
    await instance.destroy()
    await instance.stop(0.5)
    assert timeline.in_order()


async def test_cpu_time_is_positive_or_unknown(stand: Stand) -> None:
    instance = await stand.running()
    used_ns = instance.cpu_ns()
    assert used_ns is None or used_ns > 0
    assert not stand.kind.real or used_ns is not None
    await instance.destroy()
    assert instance.cpu_ns() is None or instance.cpu_ns() != 0


async def test_an_instance_is_found_again_after_its_object_is_lost(stand: Stand) -> None:
    lost = await stand.running()
    found = await stand.another().recover(lost.id)
    assert found is not None
    assert found.id == lost.id
    assert await found.alive()
    assert found.evidence()
    await found.destroy()
    assert not await found.alive()
    assert await stand.another().recover(lost.id) is None


async def test_an_instance_of_another_agent_is_not_found(stand: Stand) -> None:
    instance = await stand.running()
    assert await stand.another(stand.other_agent).recover(instance.id) is None
    assert await instance.alive()


async def test_what_never_was_is_not_found(stand: Stand) -> None:
    assert await stand.runtime.recover("never-launched") is None
    assert await stand.runtime.reap(stand.scope) == []


async def test_reaping_removes_its_own_and_nothing_else(stand: Stand) -> None:
    mine = await stand.running()
    other = stand.another(stand.other_agent)
    theirs = await stand.launch(runtime=other, scope=Scope(stand.other_agent, stand.run_id, "t"))
    removed = await stand.another().reap(Scope(stand.settings.agent_id))
    assert list(removed) == [mine.id]
    assert not await mine.alive()
    assert await theirs.alive()


async def test_reaping_one_run_leaves_the_others(stand: Stand) -> None:
    agent = stand.settings.agent_id
    one = await stand.launch(scope=Scope(agent, "run-a", "t"))
    two = await stand.launch(scope=Scope(agent, "run-b", "t"))
    assert list(await stand.another().reap(Scope(agent, "run-a"))) == [one.id]
    assert await two.alive()
    assert not await one.alive()


async def test_closing_destroys_nothing_and_may_be_repeated(stand: Stand) -> None:
    instance = await stand.running()
    closing = stand.another()
    await closing.fingerprint()
    await closing.close()
    await closing.close()
    assert await instance.alive()
    assert await stand.another().recover(instance.id) is not None


async def test_the_engines_own_processes_are_no_instances(stand: Stand) -> None:
    instance = await stand.running()
    engine = set(stand.runtime.engine_pids())
    assert not engine & set(instance.processes().pids)
    assert all(process_alive(pid) for pid in engine)


async def test_an_instance_lives_below_the_group_it_is_given_and_leaves_it_empty(
    stand: Stand,
) -> None:
    if not (stand.kind.real and stand.runtime.capabilities.takes_parent_group):
        return
    agent_id = stand.settings.agent_id
    group = await asyncio.to_thread(memory_group.make, agent_id, 1 << 30)
    try:
        spec = stand.spec(await stand.runtime.prepare(stand.kind.idle))
        parent = ParentGroup(group.path, group.folder)
        instance = await stand.runtime.launch(replace(spec, cgroup_parent=parent), Timeline())
        stand.launched.append(instance)
        if not stand.kind.boots_slowly:
            await stand.wait_ready(instance)
        inside = set(cgroup_pids(group.folder))
        assert inside & set(instance.processes().pids)
        assert inside <= set(instance.processes().pids)
        folders = instance.processes().cgroups.values()
        (own,) = [folder for folder in folders if group.folder in folder.parents]
        assert cgroup_pids(own)
        await instance.destroy()
        assert not own.exists()
    finally:
        assert await asyncio.to_thread(group.remove) == []
    assert memory_group.leftovers(agent_id) == []
