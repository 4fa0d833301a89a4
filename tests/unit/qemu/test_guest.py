"""The guest has the image's tree, one hidden folder, and a container's devices."""

from __future__ import annotations

import stat
import subprocess
from collections.abc import Mapping
from pathlib import Path

import pytest

from agent.runtimes.images.command import Process
from agent.runtimes.images.tree import Tree, read, regular
from agent.runtimes.images.user import User
from agent.runtimes.qemu.guest import add_init, init_script

ROOT = User()


@pytest.fixture
def busybox(tmp_path: Path) -> Path:
    """Something of busybox's role; its content does not matter here."""
    path = tmp_path / "busybox"
    path.write_bytes(b"ELF and so on")
    return path


def _process(user: User = ROOT, environment: Mapping[str, str] | None = None) -> Process:
    return Process("/bin/x", ("x", "a b", "it's"), environment or {}, user, "/work dir")


def _last_command(process: Process) -> str:
    line = next(line for line in init_script(process).decode().splitlines() if "&& exec" in line)
    return line.partition("exec ")[2]


def test_an_image_without_a_shell_gets_ours(busybox: Path) -> None:
    tree = Tree()
    add_init(tree, _process(), busybox)
    names = {path.decode() for path, _ in tree.walk()}
    assert {".tonnage/busybox", ".tonnage/init", "proc", "sys", "work dir", "etc/hosts"} <= names


def test_the_same_busybox_in_the_image_is_not_kept_twice(busybox: Path) -> None:
    tree = Tree()
    tree.put(b"bin/busybox", regular(busybox.read_bytes(), 0o755))
    add_init(tree, _process(), busybox)
    assert tree.get(b".tonnage/busybox") is tree.get(b"bin/busybox")


def test_another_busybox_in_the_image_is_not_taken_for_ours(busybox: Path) -> None:
    tree = Tree()
    tree.put(b"bin/busybox", regular(b"ELF and so 0n", 0o755))
    add_init(tree, _process(), busybox)
    own = tree.get(b".tonnage/busybox")
    assert own is not None
    assert read(own) == busybox.read_bytes()


def test_devices_of_the_image_give_way_to_a_containers(busybox: Path) -> None:
    tree = Tree()
    tree.put(b"dev/sda", regular(b""))
    add_init(tree, _process(User(1000, 1000)), busybox)
    assert tree.get(b"dev/sda") is None
    console = tree.get(b"dev/console")
    assert console is not None
    assert (stat.S_ISCHR(console.mode), console.device, console.uid) == (True, (5, 1), 1000)


def test_a_hosts_file_of_the_image_stays(busybox: Path) -> None:
    tree = Tree()
    tree.put(b"etc/hosts", regular(b"10.0.0.1 db\n"))
    add_init(tree, _process(), busybox)
    hosts = tree.get(b"etc/hosts")
    assert hosts is not None
    assert read(hosts) == b"10.0.0.1 db\n"


@pytest.mark.parametrize(
    ("user", "command"),
    [
        (User(), "/bin/x 'a b' 'it'\"'\"'s'"),
        (User(5, 6), "/.tonnage/busybox nsenter -F -S 5 -G 6 -- /bin/x 'a b' 'it'\"'\"'s'"),
        (
            User(5, 6, (7,), "/", "app"),
            "/.tonnage/busybox su -p -s /bin/x -- app 'a b' 'it'\"'\"'s'",
        ),
    ],
)
def test_the_workload_becomes_its_user(user: User, command: str) -> None:
    assert _last_command(_process(user)) == command


def test_a_variable_that_no_shell_can_hold_goes_by_env() -> None:
    assert _last_command(_process(environment={"a.b": "1 2"})).startswith(
        "/.tonnage/busybox env 'a.b=1 2' "
    )


def test_the_init_is_a_script_that_a_shell_accepts() -> None:
    script = init_script(_process(environment={"A": "it's\nfine", "a.b": "1"}))
    subprocess.run(["sh", "-n"], input=script, check=True)


def test_the_first_thing_the_init_does_is_to_say_its_line() -> None:
    assert init_script(_process()).splitlines()[1] == b"echo 'TONNAGE INIT'"
