"""Ramps get the smallest guest that an earlier run found to boot."""

from __future__ import annotations

from pathlib import Path

from collector.cli.claims_sizes import at_the_least
from collector.reports.rows import MemoryFloorRow
from collector.spec import Spec, parse
from tests.unit.claims.lesson import MIB, MICROVM

EXPERIMENTS = Path(__file__).parents[3] / "experiments"


def experiment(name: str) -> Spec:
    return parse((EXPERIMENTS / name).read_text())


def found(floor_bytes: int | None) -> MemoryFloorRow:
    return MemoryFloorRow(
        **MICROVM.model_dump(),
        floor_bytes=floor_bytes,
        failed_bytes=None,
        bounded=False,
        launches=3,
        tried=[],
    )


def sizes(spec: Spec) -> dict[str, int]:
    return {target.id: target.memory_bytes // MIB for target in spec.combinations()}


def test_the_smallest_guest_of_what_was_searched_gets_the_least_and_a_margin() -> None:
    memory = experiment("claims-memory.yaml")
    given, notices = at_the_least(memory, [found(90 * MIB)])
    small = {"micro-small-1g": 92, "micro-small-2g": 92}
    assert sizes(given) == {**sizes(memory), **small}
    assert notices == ["qemu-microvm boots in 90 MiB: its smallest guest gets 92 MiB, not 72 MiB"]


def test_it_is_an_experiment_as_any_other() -> None:
    given, _ = at_the_least(experiment("claims-memory.yaml"), [found(90 * MIB)])
    assert Spec.model_validate_json(given.model_dump_json()) == given


def test_what_was_not_found_leaves_the_size_of_the_file() -> None:
    memory = experiment("claims-memory.yaml")
    assert at_the_least(memory, [found(None)]) == (memory, [])


def test_only_ramps_are_changed() -> None:
    claims = experiment("claims.yaml")
    assert at_the_least(claims, [found(90 * MIB)]) == (claims, [])


def test_the_search_lies_around_the_size_that_the_file_has_for_lack_of_one() -> None:
    search = experiment("claims-floor.yaml").memory_floor
    smallest = min(sizes(experiment("claims-memory.yaml")).values()) * MIB
    assert search is not None
    assert search.low < smallest < search.high
