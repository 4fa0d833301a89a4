"""Images are found by name in archives of both formats."""

from __future__ import annotations

from pathlib import Path

import pytest

from agent.runtimes.images import archives
from agent.runtimes.images.layers import flatten
from tests.unit.images.archive_makers import docker_archive, layer, oci_archive


@pytest.mark.parametrize(
    ("short", "full"),
    [
        ("busybox", "docker.io/library/busybox:latest"),
        ("tonnage/idle:1", "docker.io/tonnage/idle:1"),
        ("localhost/x", "localhost/x:latest"),
        ("registry.example:5000/a/b", "registry.example:5000/a/b:latest"),
        ("sha256:abc", "sha256:abc"),
    ],
)
def test_a_reference_has_one_full_form(short: str, full: str) -> None:
    assert archives.canonical(short) == full


def test_a_docker_archive_gives_its_image_by_any_of_its_names(tmp_path: Path) -> None:
    archive = tmp_path / "x.tar"
    image = docker_archive(archive, [layer(("a", b""))], names=["my/app:2", "my/app:latest"])
    for name in ("my/app:2", "my/app", "docker.io/my/app:2", image):
        entry = archives.find(archive, name)
        assert entry is not None
        assert entry.digest == image
    assert archives.find(archive, "my/app:3") is None


def test_an_oci_layout_gives_this_machines_image_and_unpacks_its_layers(tmp_path: Path) -> None:
    archive = tmp_path / "x.tar"
    image = oci_archive(archive, [layer(("a", b"1")), layer(("b", b"2"))], "docker.io/my/app:1")
    entry = archives.find(archive, "my/app:1")
    assert entry is not None
    assert entry.digest == image
    with archives.opened(archive, entry, tmp_path) as opened:
        assert opened.config["config"]["Cmd"] == ["/run"]
        assert [path for path, _ in flatten(opened.layers).walk()] == [b"a", b"b"]


def test_a_file_that_is_no_archive_is_named(tmp_path: Path) -> None:
    wrong = tmp_path / "wrong.tar"
    wrong.write_bytes(b"this is no tar" * 100)
    with pytest.raises(archives.BadArchive, match=r"wrong\.tar"):
        archives.entries(wrong)


def test_a_layer_packed_with_zstd_is_refused_with_a_way_out(tmp_path: Path) -> None:
    archive = tmp_path / "x.tar"
    docker_archive(archive, [b"\x28\xb5\x2f\xfd rest"], names=["x:1"])
    entry = archives.find(archive, "x:1")
    assert entry is not None
    with (
        pytest.raises(archives.BadArchive, match="save the image with gzip"),
        archives.opened(archive, entry, tmp_path),
    ):
        pass
