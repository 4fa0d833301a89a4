"""What a workload's process is: program, arguments, variables, user, folder.

It follows from an image's configuration and the workload's own settings, by
the rules by which a container engine starts the same image.
"""

from __future__ import annotations

import re
import stat
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from agent.runtimes.images.tree import Tree
from agent.runtimes.images.unfit import UnfitImage
from agent.runtimes.images.user import User, resolve_user
from tonnage.model import Workload

DEFAULT_PATH = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"
_VARIABLE = re.compile(r"[A-Za-z_][A-Za-z0-9_]*\Z")


class NoProgram(UnfitImage):
    """There is nothing to run, or it is not in the image; the text says what."""


@dataclass(frozen=True, slots=True)
class Process:
    """What the guest's init starts. ``argv[0]`` is the name as given, ``program``
    where it was found. ``environment`` is all of it."""

    program: str
    argv: tuple[str, ...]
    environment: Mapping[str, str]
    user: User
    folder: str


def process_of(config: Mapping[str, Any], workload: Workload, tree: Tree) -> Process:
    """The process of ``workload`` in an image with that OCI configuration.

    ``workload.command`` replaces entrypoint and command, its environment is
    added to the image's. Raises ``NoProgram`` and ``UnknownUser``.
    """
    settings = config.get("config") or {}
    user = resolve_user(settings.get("User") or "", tree)
    environment = _environment(settings.get("Env") or (), workload.environment, user)
    argv = workload.command or (
        *_words(settings.get("Entrypoint")),
        *_words(settings.get("Cmd")),
    )
    if not argv:
        raise NoProgram("the image names no entrypoint and no command, and the workload none")
    folder = settings.get("WorkingDir") or "/"
    program = find_program(argv[0], environment["PATH"], folder, tree)
    return Process(program, tuple(argv), environment, user, folder)


def find_program(name: str, path: str, folder: str, tree: Tree) -> str:
    """The absolute path of the program called ``name``, as execvp(3) would find it.

    Raises ``NoProgram``.
    """
    if "/" in name:
        candidates = [name if name.startswith("/") else f"{folder}/{name}"]
    else:
        candidates = [f"{place or folder}/{name}" for place in path.split(":")]
    for candidate in candidates:
        node = tree.resolve(candidate.encode())
        if node is not None and stat.S_ISREG(node.mode) and node.mode & 0o111:
            return candidate
    raise NoProgram(f"the image has no program {name!r} (PATH is {path})")


def _environment(
    of_image: Sequence[str], of_workload: Mapping[str, str], user: User
) -> dict[str, str]:
    image = dict(entry.partition("=")[::2] for entry in of_image)
    merged = {"PATH": DEFAULT_PATH, "HOME": user.home, **image, **of_workload}
    return {name: value for name, value in sorted(merged.items()) if name}


def is_shell_variable(name: str) -> bool:
    """Whether a shell can hold a variable of that name."""
    return _VARIABLE.match(name) is not None


def _words(value: object) -> tuple[str, ...]:
    """An entrypoint or command: a list, or (in old images) one shell line."""
    if isinstance(value, str):
        return ("/bin/sh", "-c", value)
    return tuple(str(word) for word in value) if isinstance(value, list) else ()
