"""The set-up: nothing to do is nothing done, and what is missing is told."""

from __future__ import annotations

import hashlib
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

CHECKOUT = Path(__file__).resolve().parents[2]

# Hides programs from a script and its children alone: a file that cannot be
# executed is laid over each, in a mount namespace that ends with the script.
HIDE = """
for each in "$@"; do [[ ! -e $each ]] || mount --bind /dev/null "$each"; done
exec deploy/bootstrap.sh
"""
HIDDEN = (
    "/var/run/docker.sock",
    "/usr/sbin/dockerd",
    "/usr/bin/runsc",
    "/usr/bin/podman",
    "/usr/bin/qemu-system-x86_64",
    "/usr/bin/apt-get",
    "/usr/bin/apt-cache",
)


def bootstrap(*arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        ["deploy/bootstrap.sh", *arguments],
        cwd=CHECKOUT,
        capture_output=True,
        text=True,
        timeout=50,
        check=True,
    )


def generated() -> dict[Path, float]:
    folders = (CHECKOUT / "build/guest", CHECKOUT / "build/images")
    return {path: path.stat().st_mtime for folder in folders for path in folder.iterdir()}


@pytest.fixture
def checkout(tmp_path: Path) -> Path:
    """A checkout whose Python environment is complete, and nothing else."""
    ignore = shutil.ignore_patterns("__pycache__")
    shutil.copytree(CHECKOUT / "deploy", tmp_path / "deploy", ignore=ignore)
    shutil.copy(CHECKOUT / "pyproject.toml", tmp_path)
    (tmp_path / ".venv/bin").mkdir(parents=True)
    (tmp_path / ".venv/bin/python").symlink_to(sys.executable)
    for stamp, of in (("lock", "deploy/requirements.lock"), ("project", "pyproject.toml")):
        content = os.fsencode(tmp_path) + b"\n" + (tmp_path / of).read_bytes()
        digest = hashlib.sha256(content).hexdigest()
        (tmp_path / f".venv/tonnage.{stamp}").write_text(digest)
    return tmp_path


def test_a_second_call_does_nothing() -> None:
    bootstrap()
    before = generated()
    second = bootstrap()
    assert (second.stdout, second.stderr) == ("", "")
    assert generated() == before


@pytest.mark.skipif(os.geteuid() != 0, reason="hiding programs needs root")
def test_without_apt_it_tells_what_is_missing_and_goes_on(checkout: Path) -> None:
    environment = {key: value for key, value in os.environ.items() if key != "DOCKER_HOST"}
    result = subprocess.run(
        ["unshare", "--mount", "bash", "-c", HIDE, "bash", *HIDDEN],
        cwd=checkout,
        env=environment,
        capture_output=True,
        text=True,
        timeout=30,
    )
    assert result.returncode == 0, result.stderr
    missing = [line for line in result.stderr.splitlines() if "missing:" in line]
    packages = ("docker.io", "runsc", "podman", "qemu-system-x86", "build/guest/vmlinuz")
    for expected, told in zip(packages, missing, strict=False):
        assert expected in told
    assert "going on with what is there" in result.stderr.splitlines()[-1]
