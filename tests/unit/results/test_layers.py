"""The boxes of the stack: what each takes, why one has no figure, and what is unexplained."""

from __future__ import annotations

import json
from dataclasses import replace

import pytest

from collector.model import HostFact, RunData
from collector.reports.model import LayerRow
from collector.reports.rows import LAYERS
from collector.results import assemble
from tests.unit.reports.sample import MB, START, as_server, sample_run
from tonnage.model import FootprintPoint, Inside, InsideAnswer, IsolationStage, Stage


@pytest.fixture(scope="module")
def made_up() -> RunData:
    return sample_run()


def stack(data: RunData, runtime: str) -> dict[str, LayerRow]:
    return {row.layer: row for row in assemble(data).layers if row.runtime == runtime}


def test_a_containers_stack_has_engine_libraries_and_application(made_up: RunData) -> None:
    found = stack(made_up, "docker")
    engine = found["engine"].bytes_per_instance
    assert engine == pytest.approx(2.71 * MB, rel=0.05)  # growth of the daemons, and the shim
    assert found["libraries"].bytes_per_instance == pytest.approx(0.31 * MB, rel=0.01)
    assert found["application"].bytes_per_instance == pytest.approx(0.24 * MB, rel=0.01)
    assert found["guest_kernel"].bytes_reason == "none: the host's kernel runs it"
    assert "guest" not in found


def test_a_machines_stack_has_vmm_and_guest(made_up: RunData) -> None:
    found = stack(made_up, "qemu-microvm")
    assert found["engine"].bytes_per_instance == pytest.approx(31 * MB, rel=0.02)
    assert found["guest"].bytes_per_instance == pytest.approx(118 * MB, rel=0.02)
    assert found["guest_kernel"].seconds == pytest.approx(1.15, rel=0.05)
    assert found["guest_userspace"].seconds == pytest.approx(0.44, rel=0.05)


def test_a_whole_servers_application_has_a_time_apart_from_its_system(made_up: RunData) -> None:
    servers = replace(made_up, trials=tuple(map(as_server, made_up.trials)))
    found, before = stack(servers, "qemu-microvm"), stack(made_up, "qemu-microvm")
    whole = before["guest_userspace"].seconds or 0
    assert found["guest_userspace"].seconds == pytest.approx(0.9 * whole)
    assert found["application"].seconds == pytest.approx(0.1 * whole)
    assert before["application"].seconds_reason == "within the guest's user space: ready ends both"
    assert str(found["libraries"].seconds_reason).startswith("within the application's")
    assert found["unexplained"].seconds == pytest.approx(before["unexplained"].seconds)
    for row in found.values():
        assert (row.seconds is None) == bool(row.seconds_reason), row.layer


@pytest.mark.parametrize("runtime", ["docker", "qemu-microvm"])
def test_known_and_unexplained_make_the_whole(made_up: RunData, runtime: str) -> None:
    found = stack(made_up, runtime)
    whole = next(
        row.bytes_per_instance
        for row in assemble(made_up).footprint
        if row.runtime == runtime and row.estimator == "mem_available"
    )
    assert sum(row.bytes_per_instance or 0 for row in found.values()) == pytest.approx(whole)


@pytest.mark.parametrize("runtime", ["docker", "qemu-microvm"])
def test_every_cell_has_a_figure_or_says_why_not(made_up: RunData, runtime: str) -> None:
    for row in stack(made_up, runtime).values():
        assert (row.bytes_per_instance is None) == bool(row.bytes_reason), row.layer
        assert (row.seconds is None) == bool(row.seconds_reason), row.layer
    order = [layer for layer in LAYERS if layer in stack(made_up, runtime)]
    assert list(stack(made_up, runtime)) == order


def test_what_was_not_measured_is_no_nought(made_up: RunData) -> None:
    facts = tuple(row for row in made_up.facts if not isinstance(row.fact, FootprintPoint))
    found = stack(replace(made_up, facts=facts), "docker")
    assert found["engine"].seconds
    assert {row.bytes_per_instance for row in found.values()} == {None}
    found = stack(replace(made_up, trials=()), "docker")
    assert found["engine"].bytes_per_instance
    assert {row.seconds for row in found.values()} == {None}


def test_a_workload_that_is_no_process_of_the_host_is_in_its_sandbox(made_up: RunData) -> None:
    facts = tuple(
        replace(row, fact=_sandboxed(row.fact)) if isinstance(row.fact, FootprintPoint) else row
        for row in made_up.facts
    )
    found = stack(replace(made_up, facts=facts), "docker")
    assert found["application"].bytes_per_instance is None
    assert "lies in its sandbox" in (found["application"].bytes_reason or "")


def _sandboxed(point: FootprintPoint) -> FootprintPoint:
    return replace(point, sample=replace(point.sample, library_bytes=0, application_bytes=0))


MEMINFO = ["MemTotal: 94812 kB", "Slab: 9000 kB", "AnonPages: 700 kB", "Cached: 4100 kB", "Odd: 3"]


def asked(data: RunData, facts: dict[str, object]) -> RunData:
    """The run with a stage in which one VM told its facts."""
    stage = Stage("isolation/qemu-microvm", IsolationStage("qemu-microvm", 1, 30.0, 60.0))
    (host,) = data.hosts
    plan = replace(host.plan, stages=(*host.plan.stages, stage))
    answer = InsideAnswer("t", "mark", json.dumps(facts))
    fact = HostFact("h1", 9_999, START, Inside(stage.id, "{}", (answer,)))
    return replace(data, hosts=(replace(host, plan=plan),), facts=(*data.facts, fact))


def test_a_guest_that_tells_its_memory_is_told_apart(made_up: RunData) -> None:
    found = stack(asked(made_up, {"memory": MEMINFO}), "qemu-microvm")
    ram = 128 * 2**20
    assert found["guest_kernel"].bytes_per_instance == ram - (94812 - 9000) * 1024
    assert found["guest_userspace"].bytes_per_instance == 4800 * 1024
    free = found["guest_free"].bytes_per_instance
    assert free is not None
    assert free == pytest.approx(118 * MB - (ram - (94812 - 9000 - 4800) * 1024), rel=0.03)
    assert found["guest"].bytes_reason == "told apart: kernel and user space"
    whole = sum(row.bytes_per_instance or 0 for row in found.values())
    before = stack(made_up, "qemu-microvm").values()
    assert whole == pytest.approx(sum(row.bytes_per_instance or 0 for row in before))


def test_a_guest_that_tells_nothing_of_it_is_left_whole(made_up: RunData) -> None:
    found = stack(asked(made_up, {"kernel": "6.1"}), "qemu-microvm")
    assert found["guest"].bytes_per_instance
    assert found["guest_kernel"].bytes_reason == "the guest was not asked, or did not tell"


@pytest.mark.parametrize("runtime", ["docker", "qemu-microvm"])
def test_what_was_not_weighed_says_so(made_up: RunData, runtime: str) -> None:
    unweighed = tuple(row for row in made_up.facts if not isinstance(row.fact, FootprintPoint))
    found = stack(replace(made_up, facts=unweighed), runtime)
    assert found["engine"].bytes_reason == "no footprint was measured"


def test_too_few_starts_for_a_median_say_how_many_it_needs(made_up: RunData) -> None:
    trials = [row for row in made_up.trials if row.trial.target_id.startswith("qemu")]
    found = stack(replace(made_up, trials=tuple(trials[:5])), "qemu-microvm")
    told = found["engine"].seconds_reason or ""
    assert told.startswith("p50 needs 6 samples, there are ")
    assert found["unexplained"].seconds_reason == told
