"""The files that a start reads of programs: each is found, or the start is no cold one."""

from __future__ import annotations

from pathlib import Path

import pytest

from agent.runtimes.docker.executed import executed
from agent.runtimes.docker.profile import EngineProfile
from agent.runtimes.programs import program_files

DOCKER = EngineProfile("docker")
GVISOR = EngineProfile("docker-runsc", low_level="runsc")
PODMAN = EngineProfile("podman", beside="conmon")
SHIM = "containerd-shim-runc-v2"


def test_a_program_comes_with_its_libraries_but_for_those_that_are_mapped(tmp_path: Path) -> None:
    maps = tmp_path / "maps"
    maps.touch()
    alone = program_files(["sh"], maps)
    (library,) = [file for file in alone if file.name.startswith("libc.")]
    maps.write_text(f"7f0000000000-7f0000001000 r-xp 00000000 08:01 7    {library}\n")
    assert set(alone) - set(program_files(["sh"], maps)) == {library}


def test_a_program_that_is_nowhere_is_named() -> None:
    with pytest.raises(FileNotFoundError, match="no-such-runtime"):
        program_files(["sh", "no-such-runtime"])


def test_a_program_off_the_path_is_taken_by_its_own(tmp_path: Path) -> None:
    program = tmp_path / "runsc"
    program.write_text("#!/bin/sh\n")
    program.chmod(0o755)
    assert program_files([str(program)]) == (program,)


@pytest.mark.parametrize(
    ("profile", "info", "expected"),
    [
        (DOCKER, {}, (SHIM, "runc")),
        (DOCKER, {"DefaultRuntime": "crun"}, (SHIM, "crun")),
        (DOCKER, {"DefaultRuntime": "io.containerd.kata.v2"}, ("containerd-shim-kata-v2", "kata")),
        (
            GVISOR,
            {"Runtimes": {"runsc": {"runtimeType": "io.containerd.runsc.v1"}}},
            ("containerd-shim-runsc-v1", "runsc"),
        ),
        (PODMAN, {"DefaultRuntime": "crun"}, ("conmon", "crun")),
        (
            PODMAN,
            {"DefaultRuntime": "crun", "Runtimes": {"crun": {"path": "/no/such/crun"}}},
            ("conmon", "crun"),
        ),
    ],
)
def test_the_engine_says_what_it_executes(
    profile: EngineProfile, info: dict[str, object], expected: tuple[str, str]
) -> None:
    assert executed(profile, info) == expected


def test_a_runtime_registered_elsewhere_is_found_there(tmp_path: Path) -> None:
    (tmp_path / "runsc").touch()
    registered = {"path": str(tmp_path / "runsc"), "runtimeArgs": ["--platform=ptrace"]}
    assert executed(GVISOR, {"DefaultRuntime": "runc", "Runtimes": {"runsc": registered}}) == (
        SHIM,
        str(tmp_path / "runsc"),
    )
