"""Virtual machines by QEMU, without a root's powers.

=========== ==============================================================
runtime     the runtime; equipment, accelerator: what the host has of it
profile     what tells one kind of VM from another
  microvm   qemu-microvm
  full      qemu-full             payload  what it boots that is no Linux
images      from an image (of the room ``runtimes.images``) to a built guest
  guest     our init             cpio     the tree as an initramfs
  stub      drivers, and the way to a root on a disk
  ext4      the tree as a disk   overlays its copy for each instance
machine     the VM as a command line; network: its card
firmware    what QEMU reads of its own files for it
starting    sockets and process; vmm: how processes begin and surely end
launching   from a request to a VM that exists, booted or restored
instance    one VM: boot (console and marks), screen, monitor (QMP)
templates   a VM saved once; snapshot: what it and its clones are made of
clone       one VM restored; migration: saving and loading a state
places      files below the state folder
recovered   a VM that outlived its agent; removal: what is left of any
=========== ==============================================================
"""

from __future__ import annotations

from agent.runtimes.qemu import full, microvm
from agent.runtimes.qemu.places import Places
from agent.runtimes.qemu.runtime import QemuRuntime
from agent.runtimes.registry import RuntimeSettings

__all__ = ["QemuRuntime", "open_full", "open_microvm"]


def open_microvm(settings: RuntimeSettings) -> QemuRuntime:
    """Make the runtime for QEMU's microvm machine."""
    places = _places(settings, microvm.NAME)
    return QemuRuntime(settings, microvm.Microvm(settings, places), places)


def open_full(settings: RuntimeSettings) -> QemuRuntime:
    """Make the runtime for whole servers."""
    places = _places(settings, full.NAME)
    return QemuRuntime(settings, full.Full(settings, places), places)


def _places(settings: RuntimeSettings, name: str) -> Places:
    return Places(settings.state_dir.absolute() / name, settings.agent_id)
