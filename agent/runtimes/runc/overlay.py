"""A root file system for each instance: its own layer over the image's files, by mount(2).

It is the file system that Docker and containerd use too, so what the rungs of the ladder
differ in is not it. Needs root; the state folder must not lie on an overlay itself.
"""

from __future__ import annotations

import ctypes
import os
from pathlib import Path

_LIBC = ctypes.CDLL(None, use_errno=True)
_MNT_DETACH = 2
LAYER = "upper"
_WORK = "work"
MERGED = "rootfs"


def mount(lower: Path, folder: Path) -> None:
    """Mount ``folder/rootfs``: what is in ``lower``, and changes in ``folder/upper``.

    Makes the folders. Raises ``OSError``.
    """
    for name in (LAYER, _WORK, MERGED):
        (folder / name).mkdir()
    # The root folder's owner and mode are the upper one's.
    was = lower.stat()
    os.chown(folder / LAYER, was.st_uid, was.st_gid)
    (folder / LAYER).chmod(was.st_mode & 0o7777)
    options = f"lowerdir={lower},upperdir={folder / LAYER},workdir={folder / _WORK}"
    target = folder / MERGED
    done = _LIBC.mount(b"overlay", os.fsencode(target), b"overlay", 0, os.fsencode(options))
    if done != 0:
        number = ctypes.get_errno()
        raise OSError(number, f"no overlay can be mounted: {os.strerror(number)}", str(target))


def unmount(folder: Path) -> bool:
    """Take the mount away, at once for whoever looks for it; whether there is none now."""
    target = folder / MERGED
    while os.path.ismount(target):
        if _LIBC.umount2(os.fsencode(target), _MNT_DETACH) != 0:
            return False
    return True
