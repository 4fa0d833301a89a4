"""Writes the initramfs of a whole server: ``python -m deploy.debian.initramfs``.

It takes the folder of modules, busybox, and the file to write. It is the same with which the
agent begins guests on a disk.
"""

from __future__ import annotations

import sys
from pathlib import Path

from agent.runtimes.qemu.stub import write_stub

if __name__ == "__main__":
    modules, busybox, out = map(Path, sys.argv[1:])
    write_stub(modules, busybox, out)
