"""The root file systems of the workloads, as lists of entries."""

from __future__ import annotations

import posixpath
import stat
import tarfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

SCRIPTS = Path(__file__).parent / "rootfs"

# What the workloads and people who look into them need. The shell itself finds
# every applet without a link, so each link here is one that is worth its inode.
APPLETS = ("cat", "env", "hostname", "httpd", "id", "ls", "ps", "sh", "sleep", "uname")

USERS = "root:x:0:0:root:/:/bin/sh\nnobody:x:65534:65534:nobody:/:/bin/sh\n"
GROUPS = "root:x:0:\nnogroup:x:65534:\n"


@dataclass(frozen=True, slots=True)
class Entry:
    """One file, directory or symbolic link; ``path`` has no leading slash.

    Owned by root; ``link`` is set for a symbolic link alone.
    """

    path: str
    mode: int
    content: bytes = b""
    link: str = ""


def directory(path: str, mode: int = 0o755) -> Entry:
    """A directory."""
    return Entry(path, stat.S_IFDIR | mode)


def file(path: str, content: bytes | str, mode: int = 0o644) -> Entry:
    """A regular file; text is written as UTF-8."""
    data = content.encode() if isinstance(content, str) else content
    return Entry(path, stat.S_IFREG | mode, data)


def base(busybox: bytes) -> Iterator[Entry]:
    """What every workload stands on: one static binary and the usual folders."""
    for path in ("bin", "dev", "etc", "proc", "run", "sys"):
        yield directory(path)
    yield directory("tmp", 0o1777)
    yield file("bin/busybox", busybox, 0o755)
    for applet in APPLETS:
        yield Entry(f"bin/{applet}", stat.S_IFLNK | 0o777, link="busybox")
    yield file("etc/passwd", USERS)
    yield file("etc/group", GROUPS)


def idle(busybox: bytes) -> list[Entry]:
    """``tonnage/idle:1``."""
    return [*base(busybox), script("tonnage-idle")]


def http(busybox: bytes) -> list[Entry]:
    """``tonnage/http:1``."""
    www = [directory("www"), file("www/health", "ok\n"), file("www/index.html", "Tonnage\n")]
    return [*base(busybox), script("tonnage-http"), *www]


def foreign() -> list[Entry]:
    """``tonnage/foreign-os:1``: nothing that could run; what counts is the system it declares."""
    return [directory("Files"), file("Files/readme.txt", "Not for Linux.\r\n")]


def other_linux(distribution: Path) -> list[Entry]:
    """``tonnage/other-linux:1``: the user space of another distribution, from a tar of its root,
    with the idle workload. Devices stay out, as every engine makes its own."""
    entries: dict[str, Entry] = {}
    with tarfile.open(distribution) as tar:
        for member in tar:
            path = posixpath.normpath(member.name)
            found = _entry(path, member, tar)
            if path != "." and found is not None:
                entries[path] = found
    workload = file("usr/bin/tonnage-idle", (SCRIPTS / "tonnage-idle").read_bytes(), 0o755)
    return [*entries.values(), workload]


def _entry(path: str, member: tarfile.TarInfo, tar: tarfile.TarFile) -> Entry | None:
    if member.isdir():
        return directory(path, member.mode)
    if member.issym():
        return Entry(path, stat.S_IFLNK | 0o777, link=member.linkname)
    content = tar.extractfile(member) if member.isreg() or member.islnk() else None
    return None if content is None else file(path, content.read(), member.mode)


def script(name: str) -> Entry:
    """One of the scripts beside this module, as a program."""
    return file(f"bin/{name}", (SCRIPTS / name).read_bytes(), 0o755)
