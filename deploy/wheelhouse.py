"""Makes the bundle that a server is installed from, where there is no internet.

A folder ``tonnage-VERSION`` and the same as a tar: this project's wheel, the pinned
wheels that agent and collector need, their hashes, ``install.sh``, the units, and the
example configurations. What was downloaded once is kept below ``build/wheels``, so that
the next bundle needs no network.
"""

from __future__ import annotations

import argparse
import gzip
import hashlib
import platform
import re
import shutil
import subprocess
import sys
import tarfile
import tempfile
from collections.abc import Sequence
from pathlib import Path

from deploy.requirements import EXTRAS, LOCK, ROLES, needed, pins, project_table

ROOT = Path(__file__).resolve().parents[1]
KEPT = ROOT / "build/wheels"
SOURCES = ("agent", "collector", "protos", "experiments", "pyproject.toml", "README.md")
WORKLOADS = ("guest", "images")
PYTHON = f"{sys.version_info.major}.{sys.version_info.minor}"
# What Debian 12 and its contemporaries run; older tags are wheels they take as well.
PLATFORMS = tuple(
    f"{name}_{platform.machine()}"
    for name in ("manylinux_2_28", "manylinux_2_27", "manylinux_2_17", "manylinux2014")
)


class WheelhouseError(Exception):
    """A bundle cannot be made; the text says why and what to do."""


def main(arguments: Sequence[str] | None = None) -> int:
    """Make a bundle. Exits 0, 1 when a wheel cannot be had, 2 for wrong arguments."""
    options = _parser().parse_args(arguments)
    roles = tuple(dict.fromkeys(options.role or ROLES))
    pythons = tuple(dict.fromkeys(options.python or [PYTHON]))
    try:
        folder = bundle(options.out, roles, pythons, options.version, options.workloads)
    except WheelhouseError as error:
        sys.stderr.write(f"wheelhouse: {error}\n")
        return 1
    packed = pack(folder)
    for path in (folder, packed):
        sys.stdout.write(f"{path}  {_size(path) / 2**20:.1f} MiB\n")
    return 0


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="deploy/wheelhouse.sh", description=__doc__)
    parser.add_argument("--out", type=Path, required=True, metavar="DIR", help="where to put it")
    parser.add_argument(
        "--role", action="append", choices=ROLES, help="for this role alone; else for both"
    )
    parser.add_argument(
        "--python",
        action="append",
        metavar="X.Y",
        help=f"for hosts with this Python, may be repeated [{PYTHON}]",
    )
    parser.add_argument(
        "--workloads", action="store_true", help="with guest kernel and workload images (20 MB)"
    )
    parser.add_argument(
        "--version", help="call the build by another version, to rehearse an upgrade"
    )
    return parser


def bundle(
    out: Path, roles: Sequence[str], pythons: Sequence[str], version: str | None, workloads: bool
) -> Path:
    """Fill ``out/tonnage-VERSION`` and return it. Raises ``WheelhouseError``."""
    out.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=out, prefix=".bundle-") as scratch:
        work = Path(scratch) / "bundle"
        wheels = work / "wheels"
        wheels.mkdir(parents=True)
        wheel = build_wheel(wheels, version)
        for role in roles:
            text = _pinned(role, pythons)
            for python in pythons:
                _collect(text, python, wheels)
            (work / f"requirements-{role}.txt").write_text(_own_pin(wheel, role) + text)
        _copy_rest(work)
        if workloads:
            _copy_workloads(work / "share")
        (work / "VERSION").write_text(_version_of(wheel) + "\n")
        work.chmod(0o755)
        made = out / f"tonnage-{_version_of(wheel)}"
        if made.exists():
            shutil.rmtree(made)
        work.rename(made)
    return made


def build_wheel(into: Path, version: str | None = None) -> Path:
    """Build this project's wheel, under another version if one is given."""
    with tempfile.TemporaryDirectory() as scratch:
        tree = ROOT if version is None else _renamed(Path(scratch), version)
        _run([sys.executable, "-m", "hatchling", "build", "-t", "wheel", "-d", str(into)], tree)
    (wheel,) = into.glob("tonnage-*.whl")
    return wheel


def _renamed(tree: Path, version: str) -> Path:
    for name in SOURCES:
        source = ROOT / name
        if source.is_dir():
            shutil.copytree(source, tree / name, ignore=shutil.ignore_patterns("__pycache__"))
        else:
            shutil.copy(source, tree)
    for path in (tree / "pyproject.toml", tree / "protos/tonnage/__init__.py"):
        pattern = re.compile(r'^((?:__)?version(?:__)? = )".*"$', re.MULTILINE)
        path.write_text(pattern.sub(rf'\g<1>"{version}"', path.read_text(), count=1))
    return tree


def _pinned(role: str, pythons: Sequence[str]) -> str:
    project = project_table(ROOT)
    names = {name for python in pythons for name in needed(project, role, python)}
    entries = pins(LOCK.read_text())
    missing = sorted(names - entries.keys())
    if missing:
        raise WheelhouseError(f"{LOCK.name} pins no {', '.join(missing)}: pin it, then try again")
    return "".join(entries[name] for name in sorted(names))


def _own_pin(wheel: Path, role: str) -> str:
    digest = hashlib.sha256(wheel.read_bytes()).hexdigest()
    return (
        f"tonnage[{','.join(EXTRAS[role])}]=={_version_of(wheel)} \\\n    --hash=sha256:{digest}\n"
    )


def _version_of(wheel: Path) -> str:
    return wheel.name.split("-")[1]


def _collect(requirements: str, python: str, into: Path) -> None:
    """Put the pinned wheels for ``python`` into a folder: those kept, else downloaded."""
    KEPT.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory() as scratch:
        listed = Path(scratch) / "requirements.txt"
        listed.write_text(requirements)
        offline = _download(listed, python, into, "--no-index", "--find-links", str(KEPT))
        if offline.returncode == 0:
            return
        online = _download(listed, python, KEPT)
        if online.returncode == 0:
            online = _download(listed, python, into, "--no-index", "--find-links", str(KEPT))
    if online.returncode != 0:
        raise WheelhouseError(
            f"the pinned wheels for Python {python} cannot be had: {_last_error(online.stderr)}"
        )


def _download(
    listed: Path, python: str, into: Path, *where: str
) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "pip", "download", "--quiet", "--no-deps"]
    command += ["--require-hashes", "--only-binary=:all:", "--implementation=cp"]
    command += [f"--python-version={python}", *(f"--platform={name}" for name in PLATFORMS)]
    command += [*where, "--dest", str(into), "-r", str(listed)]
    return subprocess.run(command, capture_output=True, text=True, check=False)


def _last_error(text: str) -> str:
    lines = [line for line in text.splitlines() if line.startswith("ERROR:")]
    return lines[-1].removeprefix("ERROR: ") if lines else text.strip()


def _copy_rest(work: Path) -> None:
    deploy = ROOT / "deploy"
    shutil.copy(deploy / "install.sh", work)
    for folder, pattern in (("systemd", "*.service"), ("config", "*.toml.example")):
        (work / folder).mkdir()
        for path in sorted((deploy / folder).glob(pattern)):
            shutil.copy(path, work / folder)


def _copy_workloads(share: Path) -> None:
    share.mkdir()
    for name in WORKLOADS:
        source = ROOT / "build" / name
        if not source.is_dir():
            raise WheelhouseError(f"{source} is missing: run deploy/bootstrap.sh")
        # The disk of a whole server is made where it is wanted.
        shutil.copytree(source, share / name, ignore=shutil.ignore_patterns("debian"))


def pack(folder: Path) -> Path:
    """Write ``folder`` as a tar beside it, the same bytes for the same content."""
    path = folder.with_name(f"{folder.name}.tar.gz")
    # Wheels are packed already: more effort would gain next to nothing.
    with (
        path.open("wb") as raw,
        gzip.GzipFile("", "wb", 1, raw, mtime=0) as file,
        tarfile.open(fileobj=file, mode="w") as archive,
    ):
        archive.add(folder, folder.name, filter=_anonymous)
    return path


def _anonymous(member: tarfile.TarInfo) -> tarfile.TarInfo:
    member.uid = member.gid = member.mtime = 0
    member.uname = member.gname = "root"
    member.mode = 0o755 if member.isdir() or member.mode & 0o100 else 0o644
    return member


def _size(path: Path) -> int:
    if path.is_file():
        return path.stat().st_size
    return sum(each.stat().st_size for each in path.rglob("*") if each.is_file())


def _run(command: list[str], folder: Path) -> None:
    done = subprocess.run(command, cwd=folder, capture_output=True, text=True, check=False)
    if done.returncode != 0:
        raise WheelhouseError(f"{' '.join(command[1:4])} failed: {done.stderr.strip()[-500:]}")


if __name__ == "__main__":
    sys.exit(main())
