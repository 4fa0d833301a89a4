"""What runs, and as whom, follows from image and workload as in a container engine."""

from __future__ import annotations

from typing import Any

import pytest

from agent.runtimes.images.command import DEFAULT_PATH, NoProgram, Process, process_of
from agent.runtimes.images.tree import Tree, regular, symlink
from agent.runtimes.images.user import UnknownUser, User, resolve_user
from tonnage.model import LogReadiness, Workload

PASSWD = b"root:x:0:0:root:/root:/bin/sh\nbroken\napp:x:1000:1001::/srv/app:/bin/sh\n"
GROUP = b"root:x:0:\nwheel:x:10:root,app\nvideo:x:44:app\napp:x:1001:\n"


def _image() -> Tree:
    tree = Tree()
    tree.put(b"etc/passwd", regular(PASSWD))
    tree.put(b"etc/group", regular(GROUP))
    tree.put(b"usr/bin/serve", regular(b"", 0o755))
    tree.put(b"usr/bin/data", regular(b"", 0o644))
    tree.put(b"bin", symlink(b"usr/bin"))
    tree.put(b"srv/run", regular(b"", 0o755))
    return tree


@pytest.mark.parametrize(
    ("setting", "user"),
    [
        ("", User(0, 0, (), "/root", "root")),
        ("app", User(1000, 1001, (10, 44), "/srv/app", "app")),
        ("1000", User(1000, 1001, (10, 44), "/srv/app", "app")),
        ("app:video", User(1000, 44, (), "/srv/app", "app")),
        ("app:5", User(1000, 5, (), "/srv/app", "app")),
        ("4321", User(4321, 0, (), "/", "")),
        ("4321:8765", User(4321, 8765, (), "/", "")),
    ],
)
def test_a_user_is_looked_up_in_the_image(setting: str, user: User) -> None:
    found = resolve_user(setting, _image())
    if setting == "":
        assert found.groups == (10,)
        found = User(found.uid, found.gid, (), found.home, found.name)
    assert found == user


@pytest.mark.parametrize("setting", ["nobody", "app:nogroup", "99999999999"])
def test_a_user_that_is_unknown_is_named(setting: str) -> None:
    with pytest.raises(UnknownUser, match=r"nobody|nogroup|99999999999"):
        resolve_user(setting, _image())


def test_a_bare_image_needs_no_passwd() -> None:
    assert resolve_user("7:8", Tree()) == User(7, 8)


def _process(config: dict[str, Any], command: tuple[str, ...] = (), **environment: str) -> Process:
    workload = Workload("w", "i:1", LogReadiness("up"), command, environment)
    return process_of({"config": config}, workload, _image())


def test_entrypoint_and_command_make_one_line() -> None:
    process = _process({"Entrypoint": ["serve"], "Cmd": ["-p", "1"]})
    assert process.program == "/usr/bin/serve"
    assert process.argv == ("serve", "-p", "1")


def test_the_workloads_command_replaces_both() -> None:
    process = _process({"Entrypoint": ["no"], "Cmd": ["-p"]}, ("/bin/serve", "x"))
    assert (process.program, process.argv) == ("/bin/serve", ("/bin/serve", "x"))


def test_a_command_in_shell_form_runs_in_a_shell() -> None:
    with pytest.raises(NoProgram, match="/bin/sh"):
        _process({"Cmd": "serve -p 1"})


def test_a_relative_program_is_looked_for_in_the_working_folder() -> None:
    assert _process({"Cmd": ["./run"], "WorkingDir": "/srv"}).program == "/srv/./run"


def test_variables_of_the_workload_win_and_home_and_path_are_given() -> None:
    process = _process({"Cmd": ["serve"], "Env": ["A=1", "B=x=y"], "User": "app"}, A="2")
    assert process.environment == {
        "A": "2",
        "B": "x=y",
        "HOME": "/srv/app",
        "PATH": DEFAULT_PATH,
    }


def test_the_path_of_the_image_decides_what_is_found() -> None:
    with pytest.raises(NoProgram, match="PATH is /nowhere"):
        _process({"Cmd": ["serve"], "Env": ["PATH=/nowhere"]})


@pytest.mark.parametrize("config", [{}, {"Cmd": []}, {"Entrypoint": None, "Cmd": None}])
def test_an_image_that_names_nothing_to_run_is_refused(config: dict[str, Any]) -> None:
    with pytest.raises(NoProgram, match="no entrypoint and no command"):
        _process(config)


def test_a_file_without_the_right_to_run_is_no_program() -> None:
    with pytest.raises(NoProgram, match="data"):
        _process({"Cmd": ["data"]})
