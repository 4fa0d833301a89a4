"""Whether the host can run containers by runc alone, and with what."""

from __future__ import annotations

import asyncio
import os
import shutil
import tempfile
from dataclasses import dataclass
from pathlib import Path

from agent.runtimes.runc import overlay
from agent.runtimes.runc.bundles import Bundles
from agent.runtimes.runc.groups import Groups
from agent.runtimes.runc.keeper import PROGRAMS
from tonnage.model import RuntimeState

_VERSION_SECONDS = 4.0
_MORE_PLACES = ":/usr/local/sbin:/usr/sbin:/sbin"


@dataclass(frozen=True, slots=True)
class Equipment:
    """A host that can: runc's program, and the versions that it tells."""

    runc: str
    versions: dict[str, str]


@dataclass(frozen=True, slots=True)
class Lack:
    """A host that cannot, and why."""

    state: RuntimeState
    reason: str


async def detect(bundles: Bundles, groups: Groups) -> Equipment | Lack:
    """Look at everything that a launch needs. Never raises; bounded to some seconds."""
    places = os.environ.get("PATH", os.defpath) + _MORE_PLACES
    missing = [program for program in PROGRAMS if shutil.which(program, path=places) is None]
    if missing:
        reason = f"missing programs: {', '.join(missing)} (Debian: apt-get install runc)"
        return Lack(RuntimeState.UNDETECTED, reason)
    if os.geteuid() != 0:
        return Lack(RuntimeState.UNHEALTHY, "runc needs root for cgroups, mounts and namespaces")
    obstacle = groups.obstacle() or await asyncio.to_thread(_mount_obstacle, bundles)
    if obstacle:
        return Lack(RuntimeState.UNHEALTHY, obstacle)
    runc = shutil.which("runc", path=places) or "runc"
    versions = await _versions(runc)
    if "runc" not in versions:
        return Lack(RuntimeState.UNHEALTHY, f"{runc} does not tell its version")
    return Equipment(runc, versions)


def _mount_obstacle(bundles: Bundles) -> str:
    """Why no overlay can be mounted in the state folder, shown by mounting one."""
    try:
        bundles.make()
        with tempfile.TemporaryDirectory(dir=bundles.scratch) as folder:
            lower = Path(folder, "lower")
            lower.mkdir()
            try:
                overlay.mount(lower, Path(folder))
            finally:
                overlay.unmount(Path(folder))
    except OSError as error:
        return f"no overlay can be mounted below {bundles.scratch}: {error.strerror or error}"
    return ""


async def _versions(runc: str) -> dict[str, str]:
    """What ``runc --version`` says: "runc version 1.1.5", then "libseccomp: 2.5.4" and such."""
    try:
        asking = await asyncio.create_subprocess_exec(
            runc, "--version", stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.DEVNULL
        )
    except OSError:
        return {}
    try:
        async with asyncio.timeout(_VERSION_SECONDS):
            said, _ = await asking.communicate()
    except TimeoutError:
        asking.kill()
        await asking.wait()
        return {}
    return parse_versions(said.decode(errors="replace"))


def parse_versions(said: str) -> dict[str, str]:
    """The versions in runc's own words."""
    first, *rest = said.strip().splitlines() or [""]
    name, _, version = first.rpartition(" version ")
    found = {name: version} if name == "runc" else {}
    for line in rest:
        name, colon, version = line.partition(": ")
        if colon and name in ("spec", "libseccomp"):
            found[name] = version
    return found
