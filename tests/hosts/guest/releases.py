"""Releases that are built before a guest gets them.

``install.sh`` builds them on a Debian that is not emulated, which takes seconds instead of
minutes. What it finds built on the guest it takes as it is.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from deploy import wheelhouse
from tests.hosts.debian import Debian
from tests.hosts.guest.guest import Guest

PYTHON = "3.11"  # Debian 12's
_BUILD_SECONDS = 120


class Elsewhere:
    """The Debian where they are built, in a folder of its own."""

    def __init__(self, tree: Path, folder: Path) -> None:
        self._srv = folder / "srv"
        self._debian = Debian((tree,), folder / "debian", self._srv)
        self.releases = self._debian.own / "upper/opt/tonnage/releases"
        self._srv.mkdir(mode=0o755)
        folder.chmod(0o755)  # another user of that Debian reads what is below

    def bundle(self, roles: Sequence[str], version: str, *, workloads: bool = False) -> Path:
        """A bundle that it can build."""
        return wheelhouse.bundle(self._srv, roles, (PYTHON,), version, workloads)

    def build(self, bundle: Path, roles: Sequence[str]) -> None:
        """Add the release of a bundle to ``releases``."""
        built = self._debian.run(f"/srv/{bundle.name}/install.sh", *roles, timeout=_BUILD_SECONDS)
        assert built.returncode == 0, built.stdout


def bring_release(server: Guest, version: str) -> None:
    """Put it where install.sh finds it; that keeps none that is not current or former."""
    releases = "/opt/tonnage/releases"
    server.run(f"mkdir -p {releases} && ln -s /srv/cargo/releases/{version}-* {releases}")
