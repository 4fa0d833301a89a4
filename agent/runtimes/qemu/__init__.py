"""Virtual machines by QEMU, without a root's powers, a network or a disk.

=========== ==============================================================
runtime     the runtime; equipment, accelerator: what the host has of it
demands     what may be asked of it
images      from an image (of the room ``runtimes.images``) to a built guest
  guest     our init             cpio     the tree as an initramfs
machine     the VM as a command line
starting    sockets and process; vmm: how processes begin and surely end
instance    one VM: boot (console and marks), monitor (QMP), cgroups
places      files below the state folder
recovered   a VM that outlived its agent; removal: what is left of any
=========== ==============================================================
"""

from __future__ import annotations

from agent.runtimes.qemu.runtime import QemuMicrovm
from agent.runtimes.registry import RuntimeSettings

__all__ = ["QemuMicrovm", "open_microvm"]


def open_microvm(settings: RuntimeSettings) -> QemuMicrovm:
    """Make the runtime for QEMU's microvm machine."""
    return QemuMicrovm(settings)
