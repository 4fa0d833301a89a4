"""Layers and image archives made in memory for tests."""

from __future__ import annotations

import gzip
import hashlib
import io
import json
import tarfile
from pathlib import Path
from typing import Any


def member(name: str, kind: bytes = tarfile.REGTYPE, **fields: Any) -> tarfile.TarInfo:
    """A tar member with those fields set."""
    info = tarfile.TarInfo(name)
    info.type = kind
    for key, value in fields.items():
        setattr(info, key, value)
    return info


def program(name: str, data: bytes) -> tuple[tarfile.TarInfo, bytes]:
    """An executable file of root's."""
    return member(name, size=len(data), mode=0o755), data


def layer(*entries: str | tuple[str | tarfile.TarInfo, bytes] | tarfile.TarInfo) -> bytes:
    """A layer: ``"dir/"``, ``("file", b"content")``, or a member as it is."""
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w") as tar:
        for entry in entries:
            if isinstance(entry, tarfile.TarInfo):
                tar.addfile(entry)
            elif isinstance(entry, str):
                tar.addfile(member(entry, tarfile.DIRTYPE, mode=0o755))
            else:
                name, data = entry
                if isinstance(name, str):
                    name = member(name, size=len(data), mode=0o644)
                tar.addfile(name, io.BytesIO(data))
    return buffer.getvalue()


def opened(data: bytes) -> tarfile.TarFile:
    """A layer as an open tar."""
    return tarfile.open(fileobj=io.BytesIO(data), mode="r:")


def docker_archive(
    path: Path,
    layers: list[bytes],
    *,
    names: list[str],
    config: dict[str, Any] | None = None,
    architecture: str = "amd64",
) -> str:
    """Write what ``docker save`` would; returns the image id."""
    image_config = {
        "os": "linux",
        "architecture": architecture,
        "config": config or {},
        "rootfs": {
            "type": "layers",
            "diff_ids": [f"sha256:{hashlib.sha256(data).hexdigest()}" for data in layers],
        },
    }
    raw = json.dumps(image_config).encode()
    image = hashlib.sha256(raw).hexdigest()
    manifest = [
        {
            "Config": f"{image}.json",
            "RepoTags": names,
            "Layers": [f"{number}/layer.tar" for number in range(len(layers))],
        }
    ]
    files = {f"{number}/layer.tar": data for number, data in enumerate(layers)}
    files[f"{image}.json"] = raw
    files["manifest.json"] = json.dumps(manifest).encode()
    path.write_bytes(layer(*files.items()))
    return f"sha256:{image}"


def oci_archive(path: Path, layers: list[bytes], name: str) -> str:
    """Write an OCI layout with gzip layers behind an index of two platforms."""
    files: dict[str, bytes] = {}

    def blob(data: bytes) -> dict[str, Any]:
        digest = hashlib.sha256(data).hexdigest()
        files[f"blobs/sha256/{digest}"] = data
        return {"digest": f"sha256:{digest}", "size": len(data)}

    config = blob(json.dumps({"os": "linux", "config": {"Cmd": ["/run"]}}).encode())
    packed = [blob(gzip.compress(data, mtime=0)) for data in layers]
    manifest = blob(json.dumps({"config": config, "layers": packed}).encode())
    here = {**manifest, "platform": {"os": "linux", "architecture": "amd64"}}
    other = {"digest": "sha256:0", "platform": {"os": "linux", "architecture": "arm64"}}
    inner = blob(json.dumps({"manifests": [other, here]}).encode())
    named = {**inner, "annotations": {"io.containerd.image.name": name}}
    files["index.json"] = json.dumps({"manifests": [named]}).encode()
    path.write_bytes(layer(*files.items()))
    return str(config["digest"])
