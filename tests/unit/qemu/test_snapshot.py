"""What templates and clones are made of."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from agent.errors import InvalidInput
from agent.runtimes.qemu.machine import microvm, qemu_arguments
from agent.runtimes.qemu.snapshot import check_restorable, clone, template, to_save
from tonnage.model import (
    Accelerator,
    ConsoleHealth,
    HttpHealth,
    LogReadiness,
    Mode,
    Network,
    Target,
    Workload,
)

WORKLOAD = Workload("w", "i", LogReadiness("READY"), health=ConsoleHealth("ping", "pong"))
TARGET = Target("t", "qemu-microvm", "private", Mode.RESTORE, Network.NONE, WORKLOAD, 64 << 20)
MACHINE = microvm(
    Path("/k"),
    Path("/i"),
    hostname="template-1",
    memory_bytes=64 << 20,
    cpus=1,
    accelerator=Accelerator.TCG,
)
PRIVATE = to_save(TARGET, "template-1", Path("/s,f"))
SHARED = to_save(replace(TARGET, variant="shared-ram"), "template-1", Path("/s,f"))


def words(machine: object) -> tuple[str, ...]:
    return qemu_arguments(machine, "n", console_fd=3, monitor_fd=4)  # type: ignore[arg-type]


def test_a_private_template_is_the_machine_itself() -> None:
    assert template(MACHINE, PRIVATE) == MACHINE
    assert PRIVATE.paths == (Path("/s,f/state"),)


def test_a_private_clone_differs_by_what_it_waits_for() -> None:
    told = words(clone(MACHINE, PRIVATE))
    assert [word for word in told if word not in words(MACHINE)] == ["-incoming", "defer"]


def test_shared_memory_is_a_file_that_the_template_writes_and_no_clone_does() -> None:
    assert SHARED.paths == (Path("/s,f/state"), Path("/s,f/ram"))
    file = "memory-backend-file,id=ram,size=64M,mem-path=/s,,f/ram"
    of_template, of_clone = words(template(MACHINE, SHARED)), words(clone(MACHINE, SHARED))
    for told, share in ((of_template, "on"), (of_clone, "off")):
        assert told[told.index("-machine") + 1].endswith(",memory-backend=ram")
        assert told[told.index("-object") + 1] == f"{file},share={share}"
        assert told[told.index("-m") + 1] == "64M"
    assert "-incoming" not in of_template
    assert "-incoming" in of_clone


@pytest.mark.parametrize("health", [None, HttpHealth(80, "/")])
def test_what_has_no_question_on_its_console_is_not_restored(health: HttpHealth | None) -> None:
    check_restorable(TARGET)
    with pytest.raises(InvalidInput) as refused:
        check_restorable(replace(TARGET, workload=replace(WORKLOAD, health=health)))
    assert refused.value.problem.field == "workload.health"
    assert "console" in refused.value.problem.remedy


def test_what_has_a_network_is_not_restored() -> None:
    with pytest.raises(InvalidInput) as refused:
        check_restorable(replace(TARGET, network=Network.USER))
    assert (refused.value.problem.field, refused.value.problem.value) == ("network", "user")
