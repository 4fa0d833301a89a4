"""``docker-runsc``: gVisor under the host's Docker engine, which must have it registered.

gVisor runs the workload on a kernel of its own in user space (the *sentry*), which
catches its system calls through a *platform*: ptrace, systrap or KVM.
"""

from __future__ import annotations

import subprocess
from collections.abc import Mapping, Sequence
from typing import Any

from agent.runtimes.docker.engine import Description
from agent.runtimes.docker.profile import EngineProfile, Finding
from agent.runtimes.docker.runtime import DockerRuntime
from agent.runtimes.registry import RuntimeSettings
from tonnage.model import Network, RuntimeState

LOW_LEVEL = "runsc"
_VERSION_SECONDS = 3.0
_NO_NETWORK = "none"
_REGISTER = (
    "install gVisor's runsc, name it under runtimes.runsc in /etc/docker/daemon.json and"
    " restart the engine"
)


def open_runsc(settings: RuntimeSettings) -> DockerRuntime:
    """Make the runtime for the host's Docker engine with ``runsc`` below it."""
    profile = EngineProfile(
        name="docker-runsc",
        low_level=LOW_LEVEL,
        examine=examine,
        # With --ignore-cgroups it makes none; without, it could not be tried.
        takes_parent_group=False,
    )
    return DockerRuntime(profile, settings)


def examine(found: Description) -> Finding:
    """Whether the engine has ``runsc`` registered, and how it would run it."""
    registered: Mapping[str, Any] | None = (found.info.get("Runtimes") or {}).get(LOW_LEVEL)
    if registered is None:
        return Finding((RuntimeState.UNDETECTED, f"the engine has no runtime runsc: {_REGISTER}"))
    path = str(registered.get("path") or LOW_LEVEL)
    try:
        version = _version(path)
    except (OSError, subprocess.SubprocessError) as error:
        reason = f"the engine's runtime runsc cannot be run: {path}: {error}"
        return Finding((RuntimeState.UNHEALTHY, reason))
    options = _options(registered.get("runtimeArgs") or ())
    alone = options.get("network") == _NO_NETWORK
    components = {
        "low_level_runtime": LOW_LEVEL,
        "runsc": version,
        "runsc_platform": options.get("platform", "its default"),
        "runsc_cgroups": "ignored" if "ignore-cgroups" in options else "used",
    }
    return Finding(networks=frozenset({Network.NONE} if alone else Network), components=components)


def _version(path: str) -> str:
    """As it tells on the first line: ``runsc version V``."""
    told = subprocess.run(
        [path, "--version"], capture_output=True, text=True, timeout=_VERSION_SECONDS, check=True
    )
    return told.stdout.partition("\n")[0].rpartition(" ")[2]


def _options(arguments: Sequence[str]) -> dict[str, str]:
    """Its flags and their values; a flag alone says true."""
    pairs = (argument.lstrip("-").partition("=") for argument in arguments)
    return {name: value if equals else "true" for name, equals, value in pairs}
