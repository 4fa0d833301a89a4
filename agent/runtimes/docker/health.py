"""Whether an engine can launch, and what it is made of."""

from __future__ import annotations

import asyncio
import re
import socket
from pathlib import Path

from agent.errors import TonnageError
from agent.runtimes.base import Capabilities
from agent.runtimes.docker.engine import Description, Engine
from agent.runtimes.docker.profile import EngineProfile, Finding
from tonnage.model import Fingerprint, Mode, Network, RuntimeState

_UNIX = "unix://"
# Podman's words: ``OCI Runtime (runc)``, and ``runc version 1.1.5`` with more lines.
_OCI_RUNTIME = re.compile(r"OCI Runtime \((.+)\)")
_TELLING = re.compile(r"\S+ version ([^\s,]+)")
_CONNECT_SECONDS = 1.0
ANSWER_SECONDS = 8.0  # Podman asks the package manager for its versions: 2 s
# Storage drivers of which the engine tells the folders of an image's layers.
_LAYERED_DRIVERS = ("overlay2", "overlay")


async def fingerprint(
    profile: EngineProfile, engine: Engine, capabilities: Capabilities
) -> Fingerprint:
    """Look at the socket, then ask the engine. Never raises; bounded to some seconds."""
    name = profile.name
    obstacle = socket_obstacle(engine.url, profile.remedy)
    if obstacle is not None:
        return Fingerprint(name, obstacle[0], obstacle[1])
    try:
        async with asyncio.timeout(ANSWER_SECONDS):
            found = await engine.describe()
            finding = await asyncio.to_thread(profile.examine, found)
    except TimeoutError:
        reason = f"the engine at {engine.url} does not answer within {ANSWER_SECONDS:g} s"
        return Fingerprint(name, RuntimeState.UNHEALTHY, reason)
    except TonnageError as error:
        return Fingerprint(name, RuntimeState.UNHEALTHY, str(error))
    if finding.obstacle is not None:
        state, reason = finding.obstacle
        return Fingerprint(name, state, f"{reason} ({engine.url})")
    return Fingerprint(
        runtime=name,
        state=RuntimeState.HEALTHY,
        reason=f"the engine at {engine.url} answers",
        version=str(found.version.get("Version", "")),
        variants=capabilities.variants,
        networks=_networks(capabilities, found, finding),
        modes=tuple(Mode(mode) for mode in capabilities.modes if _offered(mode, found)),
        readiness=capabilities.readiness,
        components={**_components(found), **finding.components},
    )


def _offered(mode: str, found: Description) -> bool:
    """A start can be made cold only where layers are folders whose files are known."""
    return mode != Mode.COLD or found.info.get("Driver") in _LAYERED_DRIVERS


def _networks(
    capabilities: Capabilities, found: Description, finding: Finding
) -> tuple[Network, ...]:
    """Going without one needs nothing of an engine, and not each lists it."""
    there = {*found.networks, Network.NONE.value}
    return tuple(
        one for one in capabilities.networks if one.value in there and one in finding.networks
    )


def socket_obstacle(url: str, remedy: str) -> tuple[RuntimeState, str] | None:
    """What stands between us and the engine's socket; ``None`` if nothing does."""
    if not url.startswith(_UNIX):
        reason = f"{url} is not a local socket; only the host it runs on can be measured"
        return RuntimeState.UNHEALTHY, reason
    path = Path(url.removeprefix(_UNIX))
    try:
        with socket.socket(socket.AF_UNIX) as connection:
            connection.settimeout(_CONNECT_SECONDS)
            connection.connect(str(path))
    except FileNotFoundError:
        return RuntimeState.UNDETECTED, f"there is no engine socket at {path}: {remedy}"
    except PermissionError:
        reason = f"no permission to use {path}: join its group (often docker) or run as root"
        return RuntimeState.UNHEALTHY, reason
    except OSError as error:
        return RuntimeState.UNHEALTHY, f"nothing answers at {path}: {error.strerror or error}"
    return None


def _components(description: Description) -> dict[str, str]:
    """Versions and settings that results depend on, by name."""
    version, info = description.version, description.info
    parts = version.get("Components") or []
    found = dict(_part(part["Name"], part["Version"]) for part in parts)
    found["api"] = str(version.get("ApiVersion", ""))
    settings = {
        "storage": "Driver",
        "cgroup_version": "CgroupVersion",
        "cgroup_driver": "CgroupDriver",
        "low_level_runtime": "DefaultRuntime",
    }
    found.update({name: str(info[key]) for name, key in settings.items() if info.get(key)})
    return {name.lower().replace(" ", "_"): value for name, value in found.items() if value}


def _part(name: str, told: str) -> tuple[str, str]:
    """A part's own name and its version alone."""
    runtime, telling = _OCI_RUNTIME.fullmatch(name), _TELLING.match(told)
    return runtime[1] if runtime else name, telling[1] if telling else told
