"""The folder in which an agent keeps what it must not lose: one process at a time."""

from __future__ import annotations

import fcntl
import os
import re
import uuid
from contextlib import AsyncExitStack
from pathlib import Path

from agent.errors import ConfigError

_ID = re.compile(r"[0-9a-f]{16}")


def own(folder: Path, stack: AsyncExitStack) -> str:
    """Take the data folder for this process alone; returns the agent's id in it.

    Raises ``ConfigError`` when it cannot be used or another agent uses it.
    """
    try:
        folder.mkdir(parents=True, exist_ok=True, mode=0o700)
        (folder / "runtimes").mkdir(exist_ok=True)
        lock = (folder / "lock").open("w")
        stack.callback(lock.close)
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        return _agent_id(folder / "agent-id")
    except BlockingIOError as error:
        raise _unusable(folder, "another agent uses it") from error
    except OSError as error:
        raise _unusable(folder, f"it cannot be used: {error.strerror}") from error


def _unusable(folder: Path, why: str) -> ConfigError:
    remedy = "Choose another folder with --data-dir."
    return ConfigError(why, field="data_dir", value=str(folder), remedy=remedy)


def _agent_id(path: Path) -> str:
    """The id in ``path``; made at the first start. Raises ``ConfigError``: what the agent
    launched is known by this id, so it is not made up anew."""
    if not path.exists():
        _write(path, f"{uuid.uuid4().hex[:16]}\n")
    found = path.read_text().strip()
    if not _ID.fullmatch(found):
        raise ConfigError(
            "holds no agent's id",
            field=str(path),
            value=found[:40],
            remedy="Put the id back that this agent's instances carry, or remove the file and"
            " those instances by hand.",
        )
    return found


def _write(path: Path, text: str) -> None:
    """Write all of a file or nothing, whenever the power fails."""
    fresh = path.with_suffix(".new")
    with fresh.open("w") as file:
        file.write(text)
        file.flush()
        os.fsync(file.fileno())
    fresh.replace(path)
