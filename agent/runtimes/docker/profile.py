"""What tells one runtime of an engine with Docker's API from another."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

from agent.runtimes.docker.engine import Description
from tonnage.model import Network, RuntimeState


@dataclass(frozen=True, slots=True)
class Finding:
    """What a look at an engine found for one runtime of it.

    ``obstacle`` is why it cannot launch, ``None`` if nothing is in its way.
    ``networks`` are those that work with it, ``components`` versions and settings
    that results depend on, beside the engine's own.
    """

    obstacle: tuple[RuntimeState, str] | None = None
    networks: frozenset[Network] = frozenset(Network)
    components: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class EngineProfile:
    """One runtime of this kind.

    ``low_level`` is the engine's name of the OCI runtime to use; ``None`` takes its
    default. ``daemon`` is the name of the engine's process. ``host`` overrides the
    configured socket, and ``option`` is the flag that names it. ``remedy`` says how to
    come by an engine that is absent. ``examine`` looks at an engine that answers, in a
    thread and within ``ANSWER_SECONDS``. With ``names_limits`` each create call names
    the engine's own resource limits: an engine that would raise them fails where it may
    not. ``beside``: the program that stands by each container. ``takes_parent_group``:
    its OCI runtime puts a container's cgroup where the create call says.
    """

    name: str
    low_level: str | None = None
    daemon: str = "dockerd"
    host: str | None = None
    option: str = "--docker-host"
    remedy: str = "install Docker and start it, or name its socket with --docker-host"
    examine: Callable[[Description], Finding] = lambda _: Finding()
    names_limits: bool = False
    beside: str = "containerd-shim-runc-v2"
    takes_parent_group: bool = True
