"""An image with settings of its own: entrypoint, user by name with further groups, folder,
variables, and a file that a second layer hides."""

from __future__ import annotations

import tarfile
from pathlib import Path

from tests.unit.images.archive_makers import docker_archive, layer, member

NAME = "own/image:3"
READY_LINE = "ALL SET"
_SCRIPT = (
    'id; echo "in=$PWD home=$HOME greeting=$GREETING args=$*"; ls /hidden 2>&1;'
    " echo through >/dev/stdout; touch mine && echo may write; echo ALL SET"
)


def write(folder: Path, images_dir: Path) -> str:
    """Write its archive into a new ``folder``, on the busybox of our own; its name."""
    files = layer(
        ("etc/passwd", b"root:x:0:0::/root:/bin/sh\nana:x:1234:1234::/home/ana:/bin/false\n"),
        ("etc/group", b"root:x:0:\nana:x:1234:\nmusic:x:77:ana\n"),
        ("hidden", b"must not be seen"),
        member("home/ana", tarfile.DIRTYPE, mode=0o700, uid=1234, gid=1234),
    )
    config = {
        "Entrypoint": ["sh", "-c", _SCRIPT, "sh"],
        "Cmd": ["one two", "three"],
        "Env": ["GREETING=hello  there", "PATH=/bin"],
        "User": "ana",
        "WorkingDir": "/home/ana",
    }
    folder.mkdir()
    layers = [_busybox(images_dir), files, layer((".wh.hidden", b""))]
    docker_archive(folder / "own.tar", layers, names=[NAME], config=config)
    return NAME


def _busybox(images_dir: Path) -> bytes:
    with tarfile.open(images_dir / "tonnage-idle-1.tar") as tar:
        blobs = [tar.extractfile(item) for item in tar if item.isfile() and item.size > 1 << 20]
        assert blobs[0] is not None
        return blobs[0].read()


def assert_honoured(said: str) -> None:
    """What the image's process prints where all of its settings are honoured."""
    assert "uid=1234(ana) gid=1234(ana)" in said
    assert "77(music)" in said
    assert "in=/home/ana home=/home/ana greeting=hello  there args=one two three" in said
    assert "No such file" in said
    assert "must not be seen" not in said
    assert "through\nmay write\nALL SET" in said
