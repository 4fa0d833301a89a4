"""Image archives: a docker-archive (``docker save``) or an OCI image layout in a tar.

Formats: github.com/moby/docker-image-spec and github.com/opencontainers/image-spec.
Layers are read where they lie; only a compressed one is unpacked to a temporary
file, as its parts are needed out of order.
"""

from __future__ import annotations

import gzip
import json
import shutil
import tarfile
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any

from agent.runtimes.images.unfit import UnfitImage

_GZIP, _ZSTD = b"\x1f\x8b", b"\x28\xb5\x2f\xfd"
_JSON_BYTES = 4 << 20
_NAME_ANNOTATIONS = ("io.containerd.image.name", "org.opencontainers.image.ref.name")


class BadArchive(UnfitImage):
    """A file that is no image archive, or a damaged or unsupported one."""


@dataclass(frozen=True, slots=True)
class Entry:
    """One image in an archive: its names as written, and the members that hold its
    configuration and its layers."""

    names: tuple[str, ...]
    config: str
    layers: tuple[str, ...]

    @property
    def digest(self) -> str:
        """The image id: the digest of the configuration, which names the layers' digests."""
        name = self.config.rsplit("/", 1)[-1].removesuffix(".json")
        return f"sha256:{name}"


@dataclass(frozen=True, slots=True)
class OpenImage:
    """An image whose archive is open: the configuration, and each layer as an open tar."""

    config: Mapping[str, Any]
    layers: tuple[tarfile.TarFile, ...]


def canonical(reference: str) -> str:
    """The full form of a reference: registry, repository, tag.

    ``busybox`` is ``docker.io/library/busybox:latest``. An image id stays as it is.
    """
    if reference.startswith("sha256:"):
        return reference
    first, slash, _ = reference.partition("/")
    if not slash:
        reference = f"docker.io/library/{reference}"
    elif "." not in first and ":" not in first and first != "localhost":
        reference = f"docker.io/{reference}"
    tagged = ":" in reference.rsplit("/", 1)[-1] or "@" in reference
    return reference if tagged else f"{reference}:latest"


def entries(archive: Path) -> tuple[Entry, ...]:
    """The images in an archive. Raises ``BadArchive`` and ``OSError``."""
    with _opened(archive) as tar:
        found = [*_docker_entries(tar), *_oci_entries(tar)]
    return tuple(found)


def find(archive: Path, reference: str) -> Entry | None:
    """The image of that name or id in an archive, if it is there."""
    wanted = canonical(reference)
    for entry in entries(archive):
        if wanted == entry.digest or wanted in map(canonical, entry.names):
            return entry
    return None


@contextmanager
def opened(archive: Path, entry: Entry, scratch: Path) -> Iterator[OpenImage]:
    """Open an image; compressed layers are unpacked below ``scratch`` meanwhile.

    Raises ``BadArchive`` and ``OSError``.
    """
    with ExitStack() as stack:
        tar = stack.enter_context(_opened(archive))
        config = _json(tar, entry.config)
        layers = tuple(_layer(tar, name, scratch, stack) for name in entry.layers)
        yield OpenImage(config, layers)


@contextmanager
def _opened(archive: Path) -> Iterator[tarfile.TarFile]:
    try:
        with tarfile.open(archive, "r:") as tar:
            yield tar
    except (tarfile.TarError, gzip.BadGzipFile, EOFError, KeyError, TypeError) as error:
        raise BadArchive(f"{archive} is no usable image archive: {error}") from error


def _docker_entries(tar: tarfile.TarFile) -> Iterator[Entry]:
    if "manifest.json" not in tar.getnames():
        return
    for item in _json(tar, "manifest.json"):
        yield Entry(tuple(item.get("RepoTags") or ()), item["Config"], tuple(item["Layers"]))


def _oci_entries(tar: tarfile.TarFile) -> Iterator[Entry]:
    if "index.json" in tar.getnames():
        yield from _oci_index(tar, _json(tar, "index.json"), ())


def _oci_index(
    tar: tarfile.TarFile, index: Mapping[str, Any], names: tuple[str, ...]
) -> Iterator[Entry]:
    for item in index["manifests"]:
        its_names = _oci_names(item) or names
        platform = item.get("platform", {"os": "linux", "architecture": "amd64"})
        if (platform.get("os"), platform.get("architecture")) != ("linux", "amd64"):
            continue
        manifest = _json(tar, _blob(item["digest"]))
        if "manifests" in manifest:
            yield from _oci_index(tar, manifest, its_names)
        else:
            layers = tuple(_blob(layer["digest"]) for layer in manifest["layers"])
            yield Entry(its_names, _blob(manifest["config"]["digest"]), layers)


def _oci_names(item: Mapping[str, Any]) -> tuple[str, ...]:
    annotations = item.get("annotations") or {}
    return tuple(annotations[key] for key in _NAME_ANNOTATIONS if key in annotations)


def _blob(digest: str) -> str:
    algorithm, _, value = digest.partition(":")
    return f"blobs/{algorithm}/{value}"


def _json(tar: tarfile.TarFile, name: str) -> Any:
    with _member(tar, name) as stream:
        try:
            return json.loads(stream.read(_JSON_BYTES))
        except ValueError as error:
            raise BadArchive(f"{name} is no JSON: {error}") from error


def _member(tar: tarfile.TarFile, name: str) -> IO[bytes]:
    stream = tar.extractfile(name)
    if stream is None:
        raise BadArchive(f"{name} is no file")
    return stream


def _layer(tar: tarfile.TarFile, name: str, scratch: Path, stack: ExitStack) -> tarfile.TarFile:
    stream = stack.enter_context(_member(tar, name))
    magic = stream.read(4)
    stream.seek(0)
    if magic == _ZSTD:
        raise BadArchive(f"the layer {name} is packed with zstd; save the image with gzip layers")
    if magic.startswith(_GZIP):
        plain = stack.enter_context((scratch / f"layer-{name.replace('/', '-')}").open("w+b"))
        with gzip.open(stream) as packed:
            shutil.copyfileobj(packed, plain, 1 << 20)
        plain.seek(0)
        return stack.enter_context(tarfile.open(fileobj=plain, mode="r:"))
    return stack.enter_context(tarfile.open(fileobj=stream, mode="r:"))
