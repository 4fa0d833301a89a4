"""Reading small kernel files: the text, or why there is none."""

from __future__ import annotations

from pathlib import Path

from agent.probes.base import NoData


def text(path: Path) -> str | NoData:
    """The file's content; ``NoData`` when it cannot be read, for whatever reason.

    Some kernel files exist and refuse to be read (PSI when booted with ``psi=0``).
    """
    try:
        return path.read_bytes().decode("utf-8", "replace")
    except OSError as error:
        return NoData(f"{path}: {error.strerror or error}")


def number(path: Path) -> int | None:
    """The whole number in a file, ``None`` when there is none."""
    content = text(path)
    try:
        return None if isinstance(content, NoData) else int(content)
    except ValueError:
        return None


def table(content: str) -> dict[str, int]:
    """Lines of a name and a whole number, as in meminfo, smaps and memory.stat.

    A unit of kB is turned into bytes; other lines are passed over.
    """
    found: dict[str, int] = {}
    for line in content.splitlines():
        name, *rest = line.split()[:3] or [""]
        if rest and rest[0].isdecimal():
            found[name.rstrip(":")] = int(rest[0]) * (1024 if rest[1:] == ["kB"] else 1)
    return found
