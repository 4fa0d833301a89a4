"""What an instance or a host told of itself, from the line of JSON it told it in.

Nothing of it is trusted to be there: another workload, an old kernel or a sandbox
may tell less, and what is not told is ``None``.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True, slots=True)
class Facts:
    """One place's own account. Lists are ``None`` where they were not told."""

    kernel: str | None = None
    boot_id: str | None = None
    start_time_unix: int | None = None
    hostname: str | None = None
    os: str | None = None
    uid_map: str | None = None
    namespaces: Mapping[str, str] | None = None
    files: tuple[str, ...] | None = None
    mounts: tuple[str, ...] | None = None
    links: tuple[str, ...] | None = None
    addresses: tuple[str, ...] | None = None
    processes: tuple[str, ...] | None = None
    process_count: int | None = None
    mount_count: int | None = None
    memory_bytes: Mapping[str, int] | None = None

    def namespace(self, kind: str) -> str | None:
        """The namespace of a kind, as the kernel names it."""
        return (self.namespaces or {}).get(kind)


def facts_of(text: str) -> Facts | None:
    """The account in a line of JSON; ``None`` where there is none."""
    try:
        told = json.loads(text)
    except ValueError:
        return None
    if not isinstance(told, dict):
        return None
    return Facts(
        kernel=_text(told.get("kernel")),
        boot_id=_text(told.get("boot_id")),
        start_time_unix=_number(told.get("start_time_unix")),
        hostname=_text(told.get("hostname")),
        os=_text(told.get("os")),
        uid_map=_text(told.get("uid_map")),
        namespaces=_texts(told.get("namespaces")),
        files=_list(told.get("files")),
        mounts=_list(told.get("mounts")),
        links=_list(told.get("links")),
        addresses=_list(told.get("addresses")),
        processes=_list(told.get("processes")),
        process_count=_number(told.get("process_count")),
        mount_count=_number(told.get("mount_count")),
        memory_bytes=_meminfo(told.get("memory")),
    )


def _text(value: Any) -> str | None:
    return value.strip() or None if isinstance(value, str) else None


def _number(value: Any) -> int | None:
    text = str(value).strip()
    return int(text) if text.isdecimal() else None


def _list(value: Any) -> tuple[str, ...] | None:
    return tuple(str(item) for item in value) if isinstance(value, list) else None


def _meminfo(value: Any) -> dict[str, int] | None:
    """Lines of /proc/meminfo, ``MemTotal:   94812 kB``, in bytes."""
    words = [line.replace(":", " ").split() for line in _list(value) or ()]
    sizes = {
        each[0]: int(each[1]) * 1024 for each in words if each[2:] == ["kB"] and each[1].isdecimal()
    }
    return sizes or None


def _texts(value: Any) -> dict[str, str]:
    pairs = value.items() if isinstance(value, dict) else ()
    return {str(kind): text for kind, item in pairs if (text := _text(item)) is not None}
