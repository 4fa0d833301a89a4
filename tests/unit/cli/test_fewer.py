"""The demo leaves out what a host lacks."""

import pytest

from collector.cli.fewer import without
from collector.errors import InvalidInput
from collector.spec import parse
from tonnage.model import Fingerprint, RuntimeState

TEXT = """\
name: small
workload: {image: "tonnage/idle:1", readiness: {log: READY}}
targets: [{runtime: docker}, {runtime: qemu-microvm}]
startup: {trials: 9, per_target: {docker: {trials: 3}, qemu-microvm: {trials: 2}}}
compare: {baseline: docker, minimum_effect: 7%}
"""
DOCKER = Fingerprint("docker", RuntimeState.HEALTHY, "it answers")
NO_DOCKER = Fingerprint("docker", RuntimeState.UNDETECTED, "no engine answers")
VM = Fingerprint("qemu-microvm", RuntimeState.HEALTHY, "it boots")


def test_nothing_changes_where_everything_is_there() -> None:
    spec = parse(TEXT)
    assert without(spec, [DOCKER, VM]) == (spec, [])


def test_a_missing_runtime_is_left_out_with_its_reason() -> None:
    spec, notices = without(parse(TEXT), [NO_DOCKER, VM])
    assert notices == ["docker is left out: no engine answers"]
    assert [target.id for target in spec.combinations()] == ["qemu-microvm"]
    assert spec.startup is not None
    assert list(spec.startup.per_target) == ["qemu-microvm"]


def test_what_is_left_is_still_a_valid_experiment() -> None:
    spec, _ = without(parse(TEXT), [NO_DOCKER, VM])
    assert parse(spec.model_dump_json()) == spec
    assert spec.baseline_id == "qemu-microvm"
    assert spec.compare.minimum_effect == 0.07


def test_a_host_without_any_of_them_is_refused_with_every_reason() -> None:
    with pytest.raises(InvalidInput) as caught:
        without(parse(TEXT), [NO_DOCKER])
    assert "no engine answers" in caught.value.problem.remedy
    assert "qemu-microvm is left out" in caught.value.problem.remedy
