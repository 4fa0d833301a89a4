"""What the host tells of itself, by the names under which an instance tells the same.

The names are those of ``facts`` in ``deploy/images/rootfs/tonnage-idle``. Of other
programs' processes only the number is told, and of mounts likewise: their words are
nobody's business.
"""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path

from agent import process
from agent.probes.base import NoData, Roots
from agent.probes.read import text

_NAMESPACES = ("cgroup", "ipc", "mnt", "net", "pid", "user", "uts")


def host_facts(roots: Roots, etc: Path = Path("/etc")) -> dict[str, object]:
    """The host's facts; what cannot be read is an empty text or 0."""
    kernel = roots.proc / "sys/kernel"
    return {
        "kernel": _line(kernel / "osrelease"),
        "boot_id": _line(kernel / "random/boot_id"),
        "start_time_unix": _word_after("btime", roots.proc / "stat"),
        "hostname": _line(kernel / "hostname"),
        "os": _os(etc / "os-release"),
        "uid_map": _line(roots.proc / "self/uid_map"),
        "namespaces": {kind: _link(roots.proc / "self/ns" / kind) for kind in _NAMESPACES},
        "links": sorted(_links(roots.sys / "class/net")),
        "process_count": len(process.pids(roots.proc)),
        "mount_count": len(_lines(roots.proc / "self/mounts")),
    }


def carriers(words: Sequence[str], roots: Roots) -> dict[str, tuple[int, ...]]:
    """The processes of the host whose command line holds each of the words, ascending."""
    found: dict[str, list[int]] = {word: [] for word in words}
    for pid in process.pids(roots.proc):
        command = " ".join(process.cmdline(pid, roots.proc))
        for word in words:
            if word in command:
                found[word].append(pid)
    return {word: tuple(pids) for word, pids in found.items()}


def _links(folder: Path) -> list[str]:
    """Each interface with its address, as a line."""
    try:
        names = [entry.name for entry in folder.iterdir()]
    except OSError:
        return []
    return [f"{name} {_line(folder / name / 'address')}".strip() for name in names]


def _os(path: Path) -> str:
    for line in _lines(path):
        if line.startswith("PRETTY_NAME="):
            return line.partition("=")[2].strip('"')
    return ""


def _word_after(name: str, path: Path) -> str:
    return next((line.split()[1] for line in _lines(path) if line.startswith(f"{name} ")), "")


def _link(path: Path) -> str:
    with suppress(OSError):
        return str(path.readlink())
    return ""


def _line(path: Path) -> str:
    return " ".join(" ".join(_lines(path)).split())


def _lines(path: Path) -> list[str]:
    content = text(path)
    return [] if isinstance(content, NoData) else content.splitlines()
