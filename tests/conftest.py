"""What tests on real engines need, and what happens where it is missing.

A test that uses one of these fixtures is skipped, with the reason, on a machine
that lacks the part. ``make test`` sets ``TONNAGE_REQUIRE_ENGINES``: there a test
that uses one, or is marked with an engine's name, fails instead, however it came
to be skipped.
"""

from __future__ import annotations

import os
import shutil
import tempfile
import uuid
from collections.abc import Generator, Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest
from docker.api.client import APIClient
from hypothesis import HealthCheck, settings

from deploy import containerd
from deploy.engine import PODMAN, SOCKETS, running_engine
from deploy.postgres import PrivatePostgres
from tests.hosts import debian
from tests.sharing import Shares, share

CHECKOUT = Path(__file__).resolve().parent.parent
ENGINES = ("containerd", "docker", "podman", "qemu", "runc")
FIXTURES = frozenset(
    {
        "containerd_address",
        "debian_disk",
        "debian_tree",
        "docker_host",
        "guest_dir",
        "images_dir",
        "podman_host",
        "postgres",
        "prometheus",
        "promtool",
        "runsc",
        "server_image",
        "systemd_analyze",
    }
)


# How long an example takes to draw or to try says more of what else the machine does.
settings.register_profile("tonnage", deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.load_profile("tonnage")


def _file(path: Path) -> Path:
    if not path.is_file():
        pytest.skip(f"{path} is missing: run deploy/bootstrap.sh")
    return path


@pytest.fixture(scope="session")
def docker_host() -> str:
    """The address of a Docker engine that answers and has the workload images."""
    address = running_engine()
    if address is None:
        pytest.skip("no Docker engine answers on DOCKER_HOST or /var/run/docker.sock")
    return address


@pytest.fixture(scope="session")
def containerd_address() -> str:
    """The socket of a containerd: the Docker engine's own, or the host's."""
    address = containerd.address_beside(running_engine())
    if address is None:
        pytest.skip("no containerd is beside a Docker engine or at /run/containerd")
    return address


@pytest.fixture(scope="session")
def podman_host() -> str:
    """The address of a Podman service that answers and has the workload images."""
    address = running_engine(PODMAN)
    if address is None:
        pytest.skip(f"no Podman answers on {PODMAN} or {SOCKETS[PODMAN]}")
    return address


@pytest.fixture(scope="session")
def runsc(docker_host: str) -> None:
    """The Docker engine has gVisor registered."""
    with closing(APIClient(base_url=docker_host, version="auto")) as client:
        if "runsc" not in client.info()["Runtimes"]:
            pytest.skip("the Docker engine has no runtime runsc: run deploy/bootstrap.sh")


@pytest.fixture(scope="session")
def guest_dir() -> Path:
    """The folder with ``vmlinuz`` and ``busybox``, on a machine that has QEMU."""
    if shutil.which("qemu-system-x86_64") is None:
        pytest.skip("qemu-system-x86_64 is missing: run deploy/bootstrap.sh")
    return _file(CHECKOUT / "build/guest/vmlinuz").parent


@pytest.fixture(scope="session")
def debian_disk(guest_dir: Path) -> Path:
    """The disk of a whole server."""
    return _file(guest_dir / "debian/base.raw")


@pytest.fixture(scope="session")
def images_dir() -> Path:
    """The folder with the archives of the workload images."""
    return _file(CHECKOUT / "build/images/images.json").parent


@pytest.fixture(scope="session")
def server_image(guest_dir: Path) -> Path:
    """The folder with a Debian server's disk and kernel, on a machine that has QEMU."""
    if shutil.which("qemu-img") is None:
        pytest.skip("qemu-img is missing: run deploy/bootstrap.sh --dev")
    return _file(CHECKOUT / "build/server/base.raw").parent


@pytest.fixture(scope="session")
def promtool() -> str:
    """Prometheus' own check of an exposition."""
    return _fetched("promtool")


@pytest.fixture(scope="session")
def prometheus() -> str:
    """Prometheus itself."""
    return _fetched("prometheus")


def _fetched(tool: str) -> str:
    found = shutil.which(tool, path=f"{os.environ['PATH']}:{CHECKOUT / 'build/tools'}")
    if found is None:
        pytest.skip(f"{tool} is missing: run deploy/bootstrap.sh --dev")
    return found


@pytest.fixture(scope="session")
def postgres() -> Iterator[PrivatePostgres]:
    """A PostgreSQL that all tests share: each in a database of its own."""
    reason = PrivatePostgres.unavailable()
    if reason is not None:
        # Told here, as tests of every store ask for it by name, which no hook sees.
        required = os.environ.get("TONNAGE_REQUIRE_ENGINES") == "1"
        (pytest.fail if required else pytest.skip)(f"{reason}: run deploy/bootstrap.sh --dev")
    # Not below tmp_path, which its user cannot reach.
    home = Path(tempfile.mkdtemp(prefix="tonnage-postgres-"))
    started = PrivatePostgres(home)
    try:
        started.start()
        yield started
    finally:
        started.remove()


@pytest.fixture
def own_postgres(postgres: PrivatePostgres) -> Iterator[PrivatePostgres]:
    """A PostgreSQL that a test may stop and kill."""
    started = PrivatePostgres(Path(tempfile.mkdtemp(prefix="tonnage-postgres-")))
    started.start()
    yield started
    started.remove()


@pytest.fixture
def postgres_url(postgres: PrivatePostgres) -> Iterator[str]:
    """The address of an empty database that is this test's alone."""
    name = f"t{uuid.uuid4().hex[:12]}"
    yield postgres.create_database(name)
    postgres.drop_database(name)


@pytest.fixture(scope="session")
def systemd_analyze() -> str:
    """What rates and checks units; it needs no systemd that runs."""
    found = shutil.which("systemd-analyze")
    if found is None:
        pytest.skip("systemd-analyze is missing: run deploy/bootstrap.sh --dev")
    return found


@pytest.fixture(scope="session")
def debian_tree() -> Path:
    """The files of a small Debian, to install on."""
    if os.geteuid() != 0 or shutil.which("mmdebstrap") is None:
        pytest.skip("a Debian to install on needs root and mmdebstrap: deploy/bootstrap.sh --dev")
    return debian.tree()


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(
    item: pytest.Item,
) -> Generator[None, pytest.TestReport, pytest.TestReport]:
    """Where engines are required, a test skipped for the lack of one is a failed one."""
    report = yield
    required = os.environ.get("TONNAGE_REQUIRE_ENGINES") == "1"
    needs = any(item.get_closest_marker(name) for name in ENGINES) or not FIXTURES.isdisjoint(
        getattr(item, "fixturenames", ())
    )
    if report.skipped and required and needs and not hasattr(report, "wasxfail"):
        report.outcome = "failed"
        report.longrepr = f"skipped although engines are required: {report.longrepr}"
    return report


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """What takes longest begins first."""
    items.sort(key=lambda item: share(item.nodeid) != "servers")


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_make_scheduler(config: pytest.Config, log: Any) -> Shares:
    """See ``tests.sharing``."""
    return Shares(config, log)
