"""Runs a command with container engines at hand: Docker, and Podman.

``python -m deploy.engine COMMAND…`` uses the engines that answer on ``DOCKER_HOST``
or ``/var/run/docker.sock``, and on ``CONTAINER_HOST`` or ``/run/podman/podman.sock``.
Where none does, it starts a private one with everything of its own below
``build/engine`` or ``build/podman``, for the length of the command, and ends it by
its pid. Either way the workload images are loaded. Without an engine the command
runs all the same, and is told so by the variable, which is unset.

Commands that run at the same time share a private engine; the last one ends it.
``TONNAGE_PRIVATE_ENGINE=FOLDER`` asks for a private Docker engine in that folder,
whichever answers.
"""

from __future__ import annotations

import fcntl
import os
import sys
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import IO

from deploy import child, containerd
from deploy.daemons import EngineFailed, EngineSurvived, PrivateDaemon
from deploy.images import load
from deploy.private_engine import PrivateEngine
from deploy.private_podman import PrivatePodman

CHECKOUT = Path(__file__).resolve().parent.parent
DOCKER, PODMAN = "DOCKER_HOST", "CONTAINER_HOST"
SOCKETS = {DOCKER: Path("/var/run/docker.sock"), PODMAN: Path("/run/podman/podman.sock")}
USAGE_ERROR = 2
SURVIVED = 1


def say(text: str) -> None:
    """Tell the person at the terminal."""
    print(f"engine: {text}", file=sys.stderr, flush=True)  # noqa: T201 - this is a command


def running_engine(variable: str = DOCKER) -> str | None:
    """The address of an engine that answers already."""
    named, usual = os.environ.get(variable), SOCKETS[variable]
    candidates = [named, f"unix://{usual}" if usual.exists() else None]
    return next((address for address in candidates if address and load.answers(address)), None)


@contextmanager
def shared_engine(engine: PrivateDaemon) -> Iterator[str]:
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


def run_beside(
    command: Sequence[str], found: dict[str, str], private: dict[str, PrivateDaemon]
) -> int:
    """Run the command with these engines up, those that will start; its exit code."""
    with child.interruptible(), ExitStack() as stack:
        for variable, engine in private.items():
            try:
                found[variable] = stack.enter_context(shared_engine(engine))
            except EngineFailed as failure:
                do_without(variable, str(failure))
            else:
                load_images(found[variable])
        return child.run(command, with_containerd(found))


def with_containerd(found: dict[str, str]) -> dict[str, str]:
    """Those and, where there is one, the containerd that belongs to the Docker engine."""
    address = containerd.address_beside(found.get(DOCKER))
    return found if address is None else {**found, containerd.VARIABLE: address}


def do_without(variable: str, reason: str) -> None:
    """Tell the person, and the command."""
    kind = {DOCKER: "Docker", PODMAN: "Podman"}[variable]
    say(f"going on without {kind}: {reason}")
    os.environ.pop(variable, None)


def private_engines(own_folder: str | None) -> dict[str, PrivateDaemon]:
    """Those that may be started, by the variable that tells of them."""
    build = CHECKOUT / "build"
    docker = PrivateEngine(Path(own_folder or build / "engine").resolve())
    return {DOCKER: docker, PODMAN: PrivatePodman((build / "podman").resolve())}


def main(arguments: Sequence[str] | None = None) -> int:
    """The command; does not return where the command can take this process's place."""
    command = list(sys.argv[1:] if arguments is None else arguments)
    if not command:
        say("usage: python -m deploy.engine COMMAND [ARGUMENT…]")
        return USAGE_ERROR
    own_folder = os.environ.get("TONNAGE_PRIVATE_ENGINE")
    found: dict[str, str] = {}
    private: dict[str, PrivateDaemon] = {}
    for variable, engine in private_engines(own_folder).items():
        wanted = own_folder is not None and variable == DOCKER
        address = None if wanted else running_engine(variable)
        if address is not None:
            load_images(address)
            found[variable] = address
        elif (reason := engine.unavailable()) is None:
            private[variable] = engine
        else:
            do_without(variable, reason)
    if not private:
        return child.replace(command, with_containerd(found))
    try:
        return run_beside(command, found, private)
    except EngineSurvived as survival:
        say(str(survival))
        return SURVIVED
    except child.Interrupted as interruption:
        return interruption.exit_code


if __name__ == "__main__":
    sys.exit(main())
