"""Which pinned packages a server needs: what a role's extra requires, and what that
requires, out of ``requirements.lock``, which also pins what developers use."""

from __future__ import annotations

import tomllib
from collections.abc import Iterator, Mapping
from importlib.metadata import requires
from pathlib import Path

from packaging.markers import default_environment
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

ROLES = ("agent", "collector")
# The extras of pyproject.toml that a role comes with: a server without internet can turn to
# PostgreSQL at any time.
EXTRAS = {"agent": ("agent",), "collector": ("collector", "postgres")}
LOCK = Path(__file__).with_name("requirements.lock")


def pins(text: str) -> dict[str, str]:
    """The lock's entries by canonical name, each with its hashes as pip reads them."""
    found: dict[str, str] = {}
    name = ""
    for line in text.splitlines(keepends=True):
        if line[0].isalnum():
            name = canonicalize_name(line.partition("==")[0])
            found[name] = ""
        found[name] += line
    return found


def needed(project: Mapping[str, object], role: str, python: str) -> list[str]:
    """Canonical names of all that ``role`` needs on a Linux host with ``python`` ("3.11").

    ``project`` is the table of that name in pyproject.toml. What a package requires is
    read from the one installed here, which the lock pinned.
    """
    environment = {k: str(v) for k, v in default_environment().items()}
    environment |= {"python_version": python, "python_full_version": f"{python}.0"}
    extras = project["optional-dependencies"]
    if not isinstance(extras, dict):  # as TOML has it
        raise TypeError("optional-dependencies is no table")
    dependencies = project["dependencies"]
    if not isinstance(dependencies, list):
        raise TypeError("dependencies is no list")
    of_role = [text for extra in EXTRAS[role] for text in extras[extra]]
    waiting = [Requirement(text) for text in [*dependencies, *of_role]]
    seen: dict[str, set[str]] = {}
    while waiting:
        one = waiting.pop()
        name = canonicalize_name(one.name)
        if name in seen and one.extras <= seen[name]:
            continue
        seen.setdefault(name, set()).update(one.extras)
        waiting += _required_by(one, environment)
    return sorted(seen)


def _required_by(one: Requirement, environment: dict[str, str]) -> Iterator[Requirement]:
    for text in requires(one.name) or ():
        required = Requirement(text)
        wanted = ("", *one.extras)
        if required.marker is None or any(
            required.marker.evaluate({**environment, "extra": extra}) for extra in wanted
        ):
            yield required


def project_table(root: Path) -> dict[str, object]:
    """The table ``project`` of ``root``'s pyproject.toml."""
    table: dict[str, object] = tomllib.loads((root / "pyproject.toml").read_text())["project"]
    return table
