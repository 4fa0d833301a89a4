"""Making a template: a VM that is booted once, saved, and left as files."""

from __future__ import annotations

import asyncio
import secrets
import time
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path

from agent.clock import Timeline
from agent.errors import LaunchFailed
from agent.runtimes.base import LaunchSpec, Prepared, Scope, Template
from agent.runtimes.qemu import migration
from agent.runtimes.qemu.instance import QemuInstance
from agent.runtimes.qemu.launching import Launcher, bootable_of
from agent.runtimes.qemu.overlays import over_overlay
from agent.runtimes.qemu.places import Places
from agent.runtimes.qemu.snapshot import Saved, check_restorable, template, to_save
from tonnage.model import Target

# The slowest guest boots in less under emulation. Also a template's own deadline.
TEMPLATE_SECONDS = 300.0
_BLOCK_BYTES = 512  # of st_blocks: stat(2)


async def save_template(
    launcher: Launcher, places: Places, target: Target, prepared: Prepared, scope: Scope
) -> Template:
    """Boot ``target`` once and save it: see ``base.Snapshottable``."""
    check_restorable(target)
    began = time.monotonic()
    name = f"template-{secrets.token_hex(6)}"
    saved = to_save(target, name, places.folder(name))
    spec = LaunchSpec(name, scope, target, prepared, TEMPLATE_SECONDS)
    bootable = bootable_of(prepared)
    instance = await launcher.boot(spec, Timeline(), lambda machine: template(machine, saved))
    try:
        await _save(instance, saved)
        await instance.leave()
        written = {name: saved.state.parent / name for name in bootable.overlays}
        overlays = await asyncio.to_thread(_for_clones, written)
        files = (*saved.paths, *written.values())
        size_bytes = sum(path.stat().st_blocks for path in files) * _BLOCK_BYTES
    except BaseException:
        await instance.destroy()
        raise
    restorable = replace(bootable, saved=saved, overlays=overlays)
    return Template(
        replace(prepared, paths=(*prepared.paths, *files), payload=restorable),
        name,
        size_bytes,
        time.monotonic() - began,
    )


def _for_clones(written: Mapping[str, Path]) -> dict[str, Path]:
    """For each disk of the template an empty one over it, which each clone copies. Blocks.

    Raises ``LaunchFailed``.
    """
    try:
        return {
            name: over_overlay(disk, disk.with_name(f"{name}-of-clones"))
            for name, disk in written.items()
        }
    except OSError as error:
        raise LaunchFailed(f"no disk for clones was made: {error}") from error


async def _save(instance: QemuInstance, saved: Saved) -> None:
    """Save a template once it is ready. Raises ``LaunchFailed``."""
    try:
        async with asyncio.timeout(TEMPLATE_SECONDS):
            await instance.ready()
            with saved.state.open("wb") as state:
                await instance.save(state.fileno(), ignore_shared=saved.ram is not None)
    except (OSError, migration.MigrationFailed) as error:  # TimeoutError is one
        why = str(error) or f"not ready and saved within {TEMPLATE_SECONDS:g} s"
        raise LaunchFailed(f"no snapshot was made: {why}", evidence=instance.evidence()) from error
