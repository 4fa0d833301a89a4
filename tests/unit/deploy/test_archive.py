"""The image archives, without an engine."""

from __future__ import annotations

import io
import json
import os
import tarfile
from pathlib import Path

from deploy.images import archive, build, rootfs

BUSYBOX = b"\x7fELF stands for a static busybox"


def built(folder: Path, busybox: bytes = BUSYBOX) -> dict[str, dict[str, str]]:
    folder.mkdir()
    binary = folder / "busybox"
    binary.write_bytes(busybox)
    return build.build(binary, folder / "images")


def files(path: Path) -> dict[str, bytes]:
    with tarfile.open(path) as tar:
        return {
            member.name: handle.read()
            for member in tar
            if (handle := tar.extractfile(member)) is not None
        }


def test_same_content_gives_the_same_bytes(tmp_path: Path) -> None:
    first, second = built(tmp_path / "a"), built(tmp_path / "b")
    assert first == second
    for image in first.values():
        one, other = (tmp_path / side / "images" / image["file"] for side in "ab")
        assert one.read_bytes() == other.read_bytes()


def test_another_busybox_gives_another_image(tmp_path: Path) -> None:
    first, second = built(tmp_path / "a"), built(tmp_path / "b", BUSYBOX + b"!")
    changed = {ref for ref, image in first.items() if image["image_id"] != second[ref]["image_id"]}
    assert changed == {"tonnage/idle:1", "tonnage/http:1"}


def test_the_image_for_another_system_says_so(tmp_path: Path) -> None:
    index = built(tmp_path / "a")
    foreign = index["tonnage/foreign-os:1"]
    inside = files(tmp_path / "a/images" / foreign["file"])
    config = json.loads(inside[json.loads(inside["manifest.json"])[0]["Config"]])
    assert (config["os"], foreign["os"]) == ("windows", "windows")
    assert len(inside) < 10


def test_another_distribution_becomes_an_image_of_its_files(tmp_path: Path) -> None:
    root = tmp_path / "root.tar"
    with tarfile.open(root, "w") as tar:
        for name, kind, link in (
            ("./", tarfile.DIRTYPE, ""),
            ("./usr/bin/", tarfile.DIRTYPE, ""),
            ("./usr/bin/dash", tarfile.REGTYPE, ""),
            ("./usr/bin/sh", tarfile.SYMTYPE, "dash"),
            ("./usr/bin/ash", tarfile.LNKTYPE, "./usr/bin/dash"),
            ("./dev/null", tarfile.CHRTYPE, ""),
        ):
            entry = tarfile.TarInfo(name)
            entry.type, entry.linkname = kind, link
            entry.size = 4 if kind == tarfile.REGTYPE else 0
            tar.addfile(entry, io.BytesIO(b"\x7fELF") if entry.size else None)
    entries = {entry.path: entry for entry in rootfs.other_linux(root)}
    assert set(entries) == {
        "usr/bin",
        "usr/bin/dash",
        "usr/bin/sh",
        "usr/bin/ash",
        "usr/bin/tonnage-idle",
    }
    assert entries["usr/bin/ash"].content == b"\x7fELF"
    assert entries["usr/bin/sh"].link == "dash"
    assert b"TONNAGE READY" in entries["usr/bin/tonnage-idle"].content


def test_a_second_build_leaves_right_files_alone(tmp_path: Path) -> None:
    index = built(tmp_path / "a")
    archives = [tmp_path / "a/images" / image["file"] for image in index.values()]
    for path in archives:
        os.utime(path, (1, 1))
    build.build(tmp_path / "a/busybox", tmp_path / "a/images")
    assert [path.stat().st_mtime for path in archives] == [1] * len(index)


def test_a_damaged_archive_is_replaced(tmp_path: Path) -> None:
    index = built(tmp_path / "a")
    path = tmp_path / "a/images" / index["tonnage/idle:1"]["file"]
    whole = path.read_bytes()
    path.write_bytes(whole[:100])
    build.build(tmp_path / "a/busybox", tmp_path / "a/images")
    assert path.read_bytes() == whole


def test_every_digest_names_its_blob(tmp_path: Path) -> None:
    index = built(tmp_path / "a")
    for image in index.values():
        blobs = files(tmp_path / "a/images" / image["file"])
        for path, content in blobs.items():
            if path.startswith("blobs/"):
                assert archive.digest(content) == f"sha256:{path.rpartition('/')[2]}"


def test_docker_and_oci_readers_find_the_same_image(tmp_path: Path) -> None:
    index = built(tmp_path / "a")
    for reference, image in index.items():
        blobs = files(tmp_path / "a/images" / image["file"])
        (docker,) = json.loads(blobs["manifest.json"])
        (descriptor,) = json.loads(blobs["index.json"])["manifests"]
        oci = json.loads(blobs[f"blobs/sha256/{descriptor['digest'].removeprefix('sha256:')}"])
        assert docker["RepoTags"] == [reference]
        assert docker["Config"].endswith(oci["config"]["digest"].removeprefix("sha256:"))
        assert oci["config"]["digest"] == image["image_id"]
        assert descriptor["digest"] == image["manifest_digest"]
        assert len(blobs[docker["Layers"][0]]) == oci["layers"][0]["size"]


def test_the_file_system_is_owned_by_root_dated_at_the_epoch_and_sorted(tmp_path: Path) -> None:
    index = built(tmp_path / "a")
    blobs = files(tmp_path / "a/images" / index["tonnage/http:1"]["file"])
    (docker,) = json.loads(blobs["manifest.json"])
    with tarfile.open(fileobj=io.BytesIO(blobs[docker["Layers"][0]])) as layer:
        members = layer.getmembers()
    assert [member.name for member in members] == sorted(member.name for member in members)
    assert {(member.uid, member.gid, member.mtime) for member in members} == {(0, 0, 0)}
    assert "www/health" in [member.name for member in members]
