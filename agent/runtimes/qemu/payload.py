"""A VM that boots a bare file which is no Linux, and so no container could be.

The file lies below ``payloads`` in the folder of guest files; its name is the image's.
All that its console shows is its own.
"""

from __future__ import annotations

import asyncio
import hashlib
from pathlib import Path

from agent.errors import ImageNotFound, RuntimeUnavailable
from agent.runtimes.base import LaunchSpec, Prepared
from agent.runtimes.qemu.equipment import Equipment
from agent.runtimes.qemu.machine import Q35, DirectBoot, Machine
from agent.runtimes.qemu.profile import Bootable
from tonnage.model import Workload

VARIANT = "payload"
PREFIX = "payload/"
_FOLDER = "payloads"
# A screen, as such programs draw on one; and the serial line, which is what is read here.
_SCREEN = ("-device", "VGA")
_PARAMETERS = "console=ttyS0,115200"


def is_payload(image: str) -> bool:
    """Whether an image's reference names a payload."""
    return image.startswith(PREFIX)


def there(guest_dir: Path) -> tuple[str, ...]:
    """The names of the payloads that are there."""
    try:
        return tuple(sorted(path.name for path in (guest_dir / _FOLDER).iterdir()))
    except OSError:
        return ()


async def prepare_payload(workload: Workload, equipment: Equipment) -> Prepared:
    """Find a payload's file. Raises ``ImageNotFound`` and ``RuntimeUnavailable``."""
    guest_dir = equipment.files.kernel.parent
    folder = guest_dir / _FOLDER
    name = workload.image.removeprefix(PREFIX).partition(":")[0]
    file = folder / name
    if "/" in name or name in ("", ".", "..") or not file.is_file():
        raise ImageNotFound(
            f"{folder} holds no such file",
            field="workload.image",
            value=workload.image,
            remedy=f"It has {', '.join(there(guest_dir)) or 'none'}; run deploy/bootstrap.sh.",
        )
    try:
        digest = await asyncio.to_thread(_digest, file)
    except OSError as error:
        raise RuntimeUnavailable(
            f"the payload cannot be read: {error}", field="workload.image", value=workload.image
        ) from error
    bootable = Bootable(file, None, equipment.verdict.accelerator, workload_line="", draws=True)
    return Prepared(workload, f"sha256:{digest}", (file,), bootable)


def payload_machine(spec: LaunchSpec, bootable: Bootable) -> Machine:
    """The machine of one launch of a payload."""
    return Machine(
        board=Q35,
        memory_bytes=spec.target.memory_bytes,
        cpus=spec.target.cpus,
        accelerator=bootable.accelerator,
        boot=DirectBoot(bootable.kernel, None, _PARAMETERS),
        options=_SCREEN,
    )


def _digest(file: Path) -> str:
    return hashlib.sha256(file.read_bytes()).hexdigest()
