"""Images as archives whose bytes follow from their content alone.

An archive is an OCI image layout with Docker's ``manifest.json`` beside it, in
one tar, so that Docker of any age, Podman, containerd and our own VM builder
read the same file. Entries are sorted, owned by root and dated at the epoch, and
layers are not compressed: the digest of a layer is the digest of its tar.

Formats: OCI image-spec v1.0 (image-layout, manifest, config) and Docker's image
specification v1.2 (``manifest.json``).
"""

from __future__ import annotations

import hashlib
import io
import json
import stat
import tarfile
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from deploy.images.rootfs import Entry

CREATED = "1970-01-01T00:00:00Z"
OCI = "application/vnd.oci.image"
TYPES = {
    stat.S_IFDIR: tarfile.DIRTYPE,
    stat.S_IFREG: tarfile.REGTYPE,
    stat.S_IFLNK: tarfile.SYMTYPE,
}


@dataclass(frozen=True, slots=True)
class Image:
    """One image before it is written. ``reference`` is ``repository:tag``; ``path`` is where
    its programs are looked for, ``os`` the system whose kernel it declares to need."""

    reference: str
    architecture: str
    command: tuple[str, ...]
    entries: Sequence[Entry]
    ports: tuple[str, ...] = ()
    path: str = "/bin"
    os: str = "linux"


@dataclass(frozen=True, slots=True)
class Archive:
    """A written image: the tar's bytes and the digests it goes by.

    ``image_id`` is the digest of the config, which Docker calls the image's id;
    an engine with the containerd image store shows ``manifest_digest`` instead.
    """

    data: bytes
    image_id: str
    manifest_digest: str


def write(image: Image) -> Archive:
    """The archive of an image."""
    layer = tar(image.entries)
    config = to_json(_config(image, layer))
    manifest = to_json(_manifest(config, layer))
    blobs = [_blob_path(blob) for blob in (config, layer)]
    files = {
        "oci-layout": to_json({"imageLayoutVersion": "1.0.0"}),
        "index.json": to_json(_index(image, manifest)),
        "manifest.json": to_json(
            [{"Config": blobs[0], "RepoTags": [image.reference], "Layers": [blobs[1]]}]
        ),
        **{_blob_path(blob): blob for blob in (config, layer, manifest)},
    }
    folders = [Entry(path, stat.S_IFDIR | 0o755) for path in ("blobs", "blobs/sha256")]
    regular = [Entry(path, stat.S_IFREG | 0o644, data) for path, data in files.items()]
    return Archive(tar([*folders, *regular]), digest(config), digest(manifest))


def tar(entries: Iterable[Entry]) -> bytes:
    """A POSIX (ustar) tar of the entries, sorted by path."""
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w", format=tarfile.USTAR_FORMAT) as out:
        for entry in sorted(entries, key=lambda e: e.path):
            info = tarfile.TarInfo(entry.path)
            info.type = TYPES[stat.S_IFMT(entry.mode)]
            info.mode = stat.S_IMODE(entry.mode)
            info.size = len(entry.content)
            info.linkname = entry.link
            out.addfile(info, io.BytesIO(entry.content))
    return buffer.getvalue()


def digest(data: bytes) -> str:
    """``sha256:`` and 64 hexadecimal digits."""
    return f"sha256:{hashlib.sha256(data).hexdigest()}"


def to_json(value: object) -> bytes:
    """JSON with sorted keys and no free choice in its white space."""
    return json.dumps(value, sort_keys=True, separators=(",", ":")).encode()


def _config(image: Image, layer: bytes) -> dict[str, object]:
    config: dict[str, object] = {
        "Cmd": list(image.command),
        "Env": [f"PATH={image.path}"],
        "WorkingDir": "/",
    }
    if image.ports:
        config["ExposedPorts"] = {port: {} for port in image.ports}
    return {
        "architecture": image.architecture,
        "config": config,
        "created": CREATED,
        "history": [{"created": CREATED, "created_by": "tonnage"}],
        "os": image.os,
        "rootfs": {"diff_ids": [digest(layer)], "type": "layers"},
    }


def _manifest(config: bytes, layer: bytes) -> dict[str, object]:
    return {
        "schemaVersion": 2,
        "mediaType": f"{OCI}.manifest.v1+json",
        "config": _descriptor(f"{OCI}.config.v1+json", config),
        "layers": [_descriptor(f"{OCI}.layer.v1.tar", layer)],
    }


def _index(image: Image, manifest: bytes) -> dict[str, object]:
    tag = image.reference.rpartition(":")[2]
    names = {
        "io.containerd.image.name": f"docker.io/{image.reference}",
        "org.opencontainers.image.ref.name": tag,
    }
    entry = _descriptor(f"{OCI}.manifest.v1+json", manifest) | {"annotations": names}
    return {
        "schemaVersion": 2,
        "mediaType": f"{OCI}.index.v1+json",
        "manifests": [entry],
    }


def _descriptor(media_type: str, blob: bytes) -> dict[str, object]:
    return {"mediaType": media_type, "digest": digest(blob), "size": len(blob)}


def _blob_path(blob: bytes) -> str:
    return f"blobs/sha256/{digest(blob).removeprefix('sha256:')}"
