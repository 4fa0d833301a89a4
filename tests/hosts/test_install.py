"""install.sh on a Debian without network: it installs, mends, goes back, and leaves nothing."""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest

from deploy import wheelhouse
from tests.hosts.debian import Debian

pytestmark = [pytest.mark.slow, pytest.mark.timeout(240)]

OLD, NEW = "0.1.0", "0.1.1"
INSTALL = f"/srv/tonnage-{OLD}/install.sh"
INSTALLED = "/opt/tonnage/install.sh"
KILL_WHILE_IT_UNPACKS = f"""
/srv/tonnage-{NEW}/install.sh upgrade &
until compgen -G '/opt/tonnage/releases/{NEW}-*/lib/python3*/site-packages/google' >/dev/null
do kill -0 $! || exit 9; done
kill -KILL $!
"""


@pytest.fixture(scope="module")
def bundles(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with the bundle of this tree, and one that calls itself newer."""
    out = tmp_path_factory.mktemp("bundles")
    out.chmod(0o755)
    wheelhouse.bundle(out, ("agent", "collector"), (wheelhouse.PYTHON,), OLD, workloads=False)
    wheelhouse.bundle(out, ("agent",), (wheelhouse.PYTHON,), NEW, workloads=False)
    return out


@pytest.fixture(scope="module")
def bare(debian_tree: Path, bundles: Path, tmp_path_factory: pytest.TempPathFactory) -> Debian:
    return Debian((debian_tree,), tmp_path_factory.mktemp("bare"), bundles)


@pytest.fixture(scope="module")
def with_agent(bare: Debian, tmp_path_factory: pytest.TempPathFactory) -> Debian:
    """A Debian on which the agent was installed."""
    debian = bare.copy(tmp_path_factory.mktemp("with_agent"))
    done = debian.run(INSTALL, "agent")
    assert done.returncode == 0, done.stdout
    return debian


@pytest.fixture
def debian(bare: Debian, tmp_path: Path) -> Debian:
    return bare.copy(tmp_path)


@pytest.fixture
def agent_host(with_agent: Debian, tmp_path: Path) -> Debian:
    return with_agent.copy(tmp_path)


def done(result: subprocess.CompletedProcess[str]) -> str:
    assert result.returncode == 0, result.stdout
    return result.stdout


def version(host: Debian) -> str:
    return done(host.run("tonnage-agent", "--version")).strip()


def releases(host: Debian) -> list[str]:
    return sorted(done(host.run("ls", "/opt/tonnage/releases")).split())


def test_an_installed_agent_starts_and_is_enabled(agent_host: Debian) -> None:
    assert version(agent_host) == OLD
    assert done(agent_host.run("systemctl", "is-enabled", "tonnage-agent")).strip() == "enabled"
    assert done(agent_host.run("stat", "-c", "%a %U", "/var/lib/tonnage/agent")) == "700 root\n"
    status = done(agent_host.run(INSTALLED, "status"))
    assert f"release  {OLD}-" in status
    assert "has not joined" in status


def test_its_modules_are_compiled_for_a_service_that_cannot_write_there(agent_host: Debian) -> None:
    found = done(
        agent_host.run("find", "/opt/tonnage/releases", "-path", "*/grpc/__pycache__/*.pyc")
    )
    assert "/__init__.cpython-311.pyc" in found


def test_a_second_call_changes_nothing(agent_host: Debian) -> None:
    before = agent_host.files()
    assert done(agent_host.run(INSTALL, "agent")).endswith("nothing to do\n")
    assert agent_host.files() == before


def test_settings_that_are_there_are_kept(agent_host: Debian) -> None:
    done(agent_host.run("sh", "-c", "echo 'log_level = \"debug\"' > /etc/tonnage/agent.toml"))
    done(agent_host.run(f"/srv/tonnage-{NEW}/install.sh", "upgrade"))
    assert done(agent_host.run("cat", "/etc/tonnage/agent.toml")) == 'log_level = "debug"\n'


def test_an_upgrade_can_be_taken_back(agent_host: Debian) -> None:
    check = done(agent_host.run(f"/srv/tonnage-{NEW}/install.sh", "upgrade", "--check"))
    assert f"would install {NEW}-" in check
    done(agent_host.run(f"/srv/tonnage-{NEW}/install.sh", "upgrade"))
    assert version(agent_host) == NEW
    done(agent_host.run(INSTALLED, "rollback"))
    assert version(agent_host) == OLD
    assert len(releases(agent_host)) == 2


def test_an_upgrade_killed_half_way_leaves_the_former_release_and_is_mended(
    agent_host: Debian,
) -> None:
    done(agent_host.run("bash", "-c", KILL_WHILE_IT_UNPACKS))
    assert version(agent_host) == OLD
    assert len(releases(agent_host)) == 2  # the torn one is there
    done(agent_host.run(f"/srv/tonnage-{NEW}/install.sh", "upgrade"))
    assert version(agent_host) == NEW
    assert len(releases(agent_host)) == 2


def test_uninstalling_keeps_data_and_identity_until_purged(agent_host: Debian) -> None:
    before = agent_host.files()
    identity = "/var/lib/tonnage/agent/identity/agent.pem"
    done(agent_host.run("sh", "-c", f"mkdir {Path(identity).parent} && echo x > {identity}"))
    done(agent_host.run(INSTALLED, "uninstall"))
    left = agent_host.files()
    assert {identity[1:], "etc/tonnage/agent.toml"} <= left
    assert not {name for name in left & before if not name.startswith(("etc/tonnage", "var/lib"))}
    done(agent_host.run(INSTALL, "uninstall", "--purge"))
    assert agent_host.files() == set()


def test_a_collector_gets_a_user_and_purging_it_leaves_nothing(debian: Debian) -> None:
    done(debian.run(INSTALL, "collector"))
    assert "serve" in done(debian.run("tonnage", "--help"))
    for path, seen in {
        "/var/lib/tonnage/collector": "750 tonnage",
        "/etc/tonnage/pki": "700 tonnage",
        "/etc/tonnage/collector.toml": "644 root",
    }.items():
        assert done(debian.run("stat", "-c", "%a %U", path)) == f"{seen}\n"
    assert "has no certificate" in done(debian.run(INSTALLED, "status"))
    done(debian.run(INSTALLED, "uninstall", "--purge"))
    left = {name for name in debian.files() if not name.endswith("-")}  # useradd's own backups
    assert left <= {"etc/.pwd.lock"}
    assert debian.run("id", "tonnage").returncode != 0


def test_it_installs_from_a_wheel_beside_its_dependencies(debian: Debian) -> None:
    wheel = f"/srv/tonnage-{NEW}/wheels/tonnage-{NEW}-py3-none-any.whl"
    done(debian.run(INSTALL, "agent", "--from", wheel))
    assert version(debian) == NEW


AS_NOBODY = ("setpriv", "--reuid=65534", "--regid=65534", "--clear-groups")


@pytest.mark.parametrize(
    ("prepared", "command", "code", "says"),
    [
        ("", f"{INSTALL} agnet", 2, "unknown argument 'agnet'"),
        ("", INSTALL, 2, "install.sh agent|collector"),
        ("", f"{INSTALL} agent --purge", 2, "--purge goes with uninstall alone"),
        ("", f"{INSTALL} upgrade", 2, "nothing is installed below /opt/tonnage"),
        ("", f"{' '.join(AS_NOBODY)} {INSTALL} agent", 2, "must be run as root"),
        ("", f"{INSTALL} agent --from /nowhere", 2, "'/nowhere' does not exist"),
        ("", f"{INSTALL} agent --from /etc", 2, "holds no wheel of Tonnage"),
        ("", f"/srv/tonnage-{NEW}/install.sh collector", 2, "is not for the collector"),
        ("", f"{INSTALL} agent --prefix opt", 2, "must be an absolute path"),
        (
            "rm /usr/bin/python3*",
            f"{INSTALL} agent",
            2,
            "no python3 here: install Python 3.11 or newer",
        ),
        (
            "mv /usr/lib/python3.11/ensurepip /gone",
            f"{INSTALL} agent",
            2,
            "python3 lacks venv or ensurepip: apt-get install python3-venv",
        ),
        (
            "mount -t tmpfs -o size=40m tmpfs /opt",
            f"{INSTALL} agent",
            1,
            "MiB are needed: make room, call it again",
        ),
        (
            "touch /usr/local/bin/tonnage-agent",
            f"{INSTALL} agent",
            2,
            "/usr/local/bin/tonnage-agent is there and not from here",
        ),
        (
            f"cp -r /srv/tonnage-{NEW} /b && rm /b/wheels/psutil*",
            "/b/install.sh agent",
            1,
            "the bundle has not all wheels for Python 3.11",
        ),
        (
            f"cp -r /srv/tonnage-{NEW} /b && echo >> /b/wheels/psutil*",
            "/b/install.sh agent",
            1,
            "THESE PACKAGES DO NOT MATCH THE HASHES",
        ),
    ],
)
def test_what_stands_in_its_way_is_said(
    debian: Debian, prepared: str, command: str, code: int, says: str
) -> None:
    result = debian.run("bash", "-ec", f"{prepared}\n{command}")
    assert (result.returncode, says in result.stdout) == (code, True), result.stdout
    assert not {name for name in debian.files() if name.startswith("etc/systemd/")}
