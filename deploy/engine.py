"""Runs a command with a container engine at hand.

``python -m deploy.engine COMMAND…`` uses the engine that answers on ``DOCKER_HOST``
or ``/var/run/docker.sock``. If none does, it starts a private ``dockerd`` with
everything of its own below ``build/engine``, for the length of the command, and
ends it by its pid. Either way the workload images are loaded. Without an engine
the command runs all the same, and is told so by an unset ``DOCKER_HOST``.

Commands that run at the same time share the private engine; the last one ends it.
``TONNAGE_PRIVATE_ENGINE=FOLDER`` asks for a private one in that folder, whichever answers.
"""

from __future__ import annotations

import fcntl
import os
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import IO

from deploy import child
from deploy.images import load
from deploy.private_engine import EngineFailed, EngineSurvived, PrivateEngine

CHECKOUT = Path(__file__).resolve().parent.parent
SYSTEM_SOCKET = Path("/var/run/docker.sock")
USAGE_ERROR = 2
SURVIVED = 1


def say(text: str) -> None:
    """Tell the person at the terminal."""
    print(f"engine: {text}", file=sys.stderr, flush=True)  # noqa: T201 - this is a command


def running_engine() -> str | None:
    """The address of an engine that answers already."""
    named = os.environ.get("DOCKER_HOST")
    candidates = [named, f"unix://{SYSTEM_SOCKET}" if SYSTEM_SOCKET.exists() else None]
    return next((address for address in candidates if address and load.answers(address)), None)


@contextmanager
def shared_engine(engine: PrivateEngine) -> Iterator[str]:
    """The private engine, started by the first user and ended by the last.

    Each user holds a shared lock for as long as it lives, so that even a user
    that was killed is not counted; starts and stops exclude one another.
    """
    engine.home.mkdir(parents=True, exist_ok=True)
    with (engine.home / "users.lock").open("w") as users:
        try:
            with _turn(engine.home):
                fcntl.flock(users, fcntl.LOCK_SH)
                engine.start()
            yield engine.address
        finally:
            with _turn(engine.home):
                if _is_last(users):
                    engine.stop()


@contextmanager
def _turn(home: Path) -> Iterator[None]:
    with (home / "turn.lock").open("w") as turn:
        fcntl.flock(turn, fcntl.LOCK_EX)
        yield


def _is_last(users: IO[str]) -> bool:
    try:
        fcntl.flock(users, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True


def load_images(address: str) -> None:
    """Load the workload images that the engine lacks."""
    for reference in load.load_absent(address, CHECKOUT / "build" / "images"):
        say(f"loaded {reference}")


def run_beside_private_engine(command: Sequence[str], engine: PrivateEngine) -> int:
    """Run the command with the private engine up; its exit code."""
    with child.interruptible(), shared_engine(engine) as address:
        load_images(address)
        return child.run(command, {"DOCKER_HOST": address})


def main(arguments: Sequence[str] | None = None) -> int:
    """The command; does not return where the command can take this process's place."""
    command = list(sys.argv[1:] if arguments is None else arguments)
    if not command:
        say("usage: python -m deploy.engine COMMAND [ARGUMENT…]")
        return USAGE_ERROR
    own_folder = os.environ.get("TONNAGE_PRIVATE_ENGINE")
    address = None if own_folder else running_engine()
    if address is not None:
        load_images(address)
        return child.replace(command, {"DOCKER_HOST": address})
    engine = PrivateEngine(Path(own_folder or CHECKOUT / "build" / "engine").resolve())
    reason = engine.unavailable()
    try:
        if reason is None:
            return run_beside_private_engine(command, engine)
    except EngineFailed as failure:
        reason = str(failure)
    except EngineSurvived as survival:
        say(str(survival))
        return SURVIVED
    except child.Interrupted as interruption:
        return interruption.exit_code
    say(f"going on without a container engine: {reason}")
    os.environ.pop("DOCKER_HOST", None)
    return child.replace(command, {})


if __name__ == "__main__":
    sys.exit(main())
