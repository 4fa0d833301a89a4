"""Builds the workload images without an engine. Standard library only.

``python3 -m deploy.images.build --busybox FILE --out FOLDER`` writes one archive
an image and ``images.json``, which tells each image's file, digests and system. A file
that is already right is left alone, so a second call changes nothing.
``--distribution TAR``, of another distribution's root, adds an image of it.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
from collections.abc import Sequence
from pathlib import Path

from deploy.images import archive, rootfs

# Names of machines as the kernel gives them, and as OCI wants them.
_SEARCHED = "/usr/sbin:/usr/bin:/sbin:/bin"
ARCHITECTURES = {"x86_64": "amd64", "aarch64": "arm64"}


def images(
    busybox: bytes, architecture: str, distribution: Path | None = None
) -> list[archive.Image]:
    """The workloads of version 1, on a static busybox; and what the claims need besides:
    an image that declares another system, and another distribution where there is one."""
    found = [
        archive.Image("tonnage/idle:1", architecture, ("/bin/tonnage-idle",), rootfs.idle(busybox)),
        archive.Image(
            "tonnage/http:1",
            architecture,
            ("/bin/tonnage-http",),
            rootfs.http(busybox),
            ports=("8080/tcp",),
        ),
        archive.Image(
            "tonnage/foreign-os:1",
            architecture,
            ("C:\\idle.exe",),
            rootfs.foreign(),
            path="C:\\",
            os="windows",
        ),
    ]
    if distribution is not None:
        entries = rootfs.other_linux(distribution)
        command = ("/usr/bin/tonnage-idle",)
        name = "tonnage/other-linux:1"
        found.append(archive.Image(name, architecture, command, entries, path=_SEARCHED))
    return found


def build(busybox: Path, out: Path, distribution: Path | None = None) -> dict[str, dict[str, str]]:
    """Write all archives and the index; return the index, by reference."""
    machine = platform.machine()
    index = {}
    out.mkdir(parents=True, exist_ok=True)
    architecture = ARCHITECTURES.get(machine, machine)
    for image in images(busybox.read_bytes(), architecture, distribution):
        written = archive.write(image)
        name = image.reference.replace("/", "-").replace(":", "-") + ".tar"
        replace_if_different(out / name, written.data)
        index[image.reference] = {
            "file": name,
            "image_id": written.image_id,
            "manifest_digest": written.manifest_digest,
            "os": image.os,
        }
    replace_if_different(
        out / "images.json", json.dumps(index, indent=2, sort_keys=True).encode() + b"\n"
    )
    return index


def replace_if_different(path: Path, data: bytes) -> None:
    """Make ``path`` hold ``data``; a reader sees the old file or the new one."""
    if path.is_file() and path.read_bytes() == data:
        return
    part = path.with_name(f".{path.name}.{os.getpid()}")
    part.write_bytes(data)
    part.replace(path)


def main(arguments: Sequence[str] | None = None) -> None:
    """The command."""
    parser = argparse.ArgumentParser(prog="deploy.images.build", description=__doc__)
    parser.add_argument("--busybox", type=Path, required=True, help="a static busybox")
    parser.add_argument("--out", type=Path, required=True, help="the folder for the archives")
    parser.add_argument("--distribution", type=Path, help="a tar of another distribution's root")
    options = parser.parse_args(arguments)
    build(options.busybox, options.out, options.distribution)


if __name__ == "__main__":
    main()
