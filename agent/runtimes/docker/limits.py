"""The resource limits of an engine, in the words of a create call."""

from __future__ import annotations

from pathlib import Path

from agent.process import PROC

# proc(5), /proc/PID/limits: the name is 26 characters wide. The API's name beside it.
_NAME_WIDTH = 26
_NAMED = {"Max open files": "nofile", "Max processes": "nproc"}
_UNLIMITED = -1

Ulimit = dict[str, str | int]


def engine_limits(pid: int, proc: Path = PROC) -> list[Ulimit]:
    """Those of the process that containers can always have; none if it is gone.

    Docker's containers inherit them unasked. Podman raises them where it runs as root,
    which needs CAP_SYS_RESOURCE, unless a create call names them.
    """
    try:
        lines = (proc / str(pid) / "limits").read_text().splitlines()
    except OSError:
        return []
    return [
        {"Name": _NAMED[name], "Soft": soft, "Hard": hard}
        for line in lines
        if (name := line[:_NAME_WIDTH].strip()) in _NAMED
        for soft, hard in [map(_limit, line[_NAME_WIDTH:].split()[:2])]
    ]


def _limit(word: str) -> int:
    return _UNLIMITED if word == "unlimited" else int(word)
