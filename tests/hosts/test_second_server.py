"""A second server in earnest: Tonnage installed, joined, rebooted, cut off from power, upgraded
and removed on a Debian with its own kernel, memory, systemd and Docker."""

from __future__ import annotations

import os
import re
import socket
import ssl
from pathlib import Path

import pytest

import tonnage
from tests.hosts.guest.guest import Guest
from tests.hosts.guest.operator import Operator, operator
from tests.hosts.guest.releases import Elsewhere, bring_release
from tests.hosts.guest.runs import (
    INSTALL_SECONDS,
    LEFT_BEHIND,
    all_kept,
    fake_runs,
    finished,
    healthy,
    in_the_middle,
    resumptions,
    submit,
)
from tests.hosts.test_guest import free_port

pytestmark = [
    pytest.mark.qemu,
    pytest.mark.slow,
    pytest.mark.timeout(1500),
]

NAME = "second"
OLD, NEW = tonnage.__version__, f"{tonnage.__version__}.post1"
STARTS, STARTS_OVER_AN_UPGRADE = 60, 100
STARTS_BEFORE_FIRST_CUT, STARTS_BEFORE_SECOND_CUT = 5, 25
DOCKER_STARTS = 3
# From 0, with nothing left to win, to 10; the issue asks for this of the collector.
MOST_EXPOSED = 4.0

DOCKER = f"""
name: real-containers
hosts: [{NAME}]
workload: {{image: "tonnage/idle:1", readiness: {{log: TONNAGE READY}}}}
targets: [{{runtime: docker}}]
startup: {{trials: {DOCKER_STARTS}, warmup: 0}}
"""


@pytest.fixture
def cargo(images_dir: Path, debian_tree: Path, tmp_path: Path) -> list[Path]:
    """What is brought to the server: a release with its workloads, and a newer one; both are
    built already, on a Debian like it. How that goes, ``test_install`` shows."""
    elsewhere = Elsewhere(debian_tree, tmp_path)
    bundles = [elsewhere.bundle(["agent"], version, workloads=True) for version in (OLD, NEW)]
    for bundle in bundles:
        elsewhere.build(bundle, ["agent"])
    return [*bundles, elsewhere.releases]


def test_a_server_is_installed_joins_is_rebooted_in_a_run_upgraded_and_removed(
    server_image: Path, cargo: list[Path], tmp_path: Path
) -> None:
    service, metrics = free_port(), free_port()
    with (
        operator(tmp_path, "--lease", "5") as collector,
        Guest(server_image, tmp_path, {7080: service, metrics: metrics}, cargo) as server,
    ):
        install(server, service, metrics)
        join(server, collector)
        runs_hardened(server)
        is_listed_with_its_own_kernel_and_memory(server, collector)
        tells_its_metrics_to_who_has_the_token(collector, metrics)
        goes_on_after_a_reboot_and_a_power_cut(server, collector, tmp_path)
        is_upgraded_and_taken_back_in_a_run(server, collector, tmp_path)
        starts_real_containers(server, collector, tmp_path)
        ends_them_by_the_red_button(server, collector)
        is_removed(server)


def install(server: Guest, service: int, metrics: int) -> None:
    settings = (
        f'name = "{NAME}"\nruntimes = ["fake", "docker"]\nlisten = "0.0.0.0:7080"\n'
        f'metrics = "0.0.0.0:{metrics}"\nadvertise = "127.0.0.1:{service}"\n'
    )
    server.put("/etc/tonnage/agent.toml", settings)
    bring_release(server, OLD)
    server.run(f"/srv/cargo/tonnage-{OLD}/install.sh agent", INSTALL_SECONDS)
    assert "nothing to do" in server.run(f"/srv/cargo/tonnage-{OLD}/install.sh agent")
    assert server.attempt("systemctl is-active tonnage-agent").output == "inactive\n"


def join(server: Guest, collector: Operator) -> None:
    made = collector.ask("token", "create", "--ttl", "5min", "--uses", "1", "--host", NAME)
    joining = f"tonnage-agent join --config /etc/tonnage/agent.toml --collector {collector.door}"
    server.run(f"{joining} --token - <<<{made['token']}")
    assert server.run("stat -c %a /var/lib/tonnage/agent/identity/agent.key") == "600\n"
    again = server.attempt(f"{joining} --force --token - <<<{made['token']}")
    assert again.code != 0, again
    server.run("systemctl start tonnage-agent")


def runs_hardened(server: Guest) -> None:
    assert server.run("systemctl is-active tonnage-agent") == "active\n"
    told = server.run("systemd-analyze security --no-pager tonnage-agent.service | tail -n 1")
    exposure = re.search(r"tonnage-agent.service: ([\d.]+)", told)
    assert exposure, told
    assert float(exposure[1]) <= MOST_EXPOSED


def is_listed_with_its_own_kernel_and_memory(server: Guest, collector: Operator) -> None:
    facts = healthy(collector, NAME, OLD)["facts"]
    kernel = server.run("uname -r").strip()
    memory_kib = server.run("sed -n 's/^MemTotal: *\\([0-9]*\\) kB/\\1/p' /proc/meminfo")
    assert facts["kernel"] == kernel != os.uname().release
    assert facts["memory_bytes"] == int(memory_kib) * 1024
    assert facts["boot_id"] == server.boot_id


def tells_its_metrics_to_who_has_the_token(collector: Operator, port: int) -> None:
    token = (collector.pki / "scrape.token").read_text().splitlines()[0]
    assert " 401 " in scrape(collector, port, "wrong").splitlines()[0]
    told = scrape(collector, port, token)
    assert " 200 " in told.splitlines()[0]
    assert "tonnage_runtime_healthy" in told


def scrape(collector: Operator, port: int, token: str) -> str:
    """The answer, from an agent that proves its name."""
    trust = ssl.create_default_context(cafile=str(collector.pki / "ca.pem"))
    asked = (
        f"GET /metrics HTTP/1.1\r\nHost: x\r\nConnection: close\r\nAuthorization: Bearer {token}"
    )
    with (
        socket.create_connection(("127.0.0.1", port), timeout=60) as plain,
        trust.wrap_socket(plain, server_hostname=f"{NAME}.agent.tonnage.internal") as connection,
        connection.makefile("rb") as answer,
    ):
        connection.sendall(f"{asked}\r\n\r\n".encode())
        return answer.read().decode()


def goes_on_after_a_reboot_and_a_power_cut(
    server: Guest, collector: Operator, folder: Path
) -> None:
    run_id = submit(collector, fake_runs("over-a-reboot", NAME, STARTS), folder)
    in_the_middle(collector, run_id, STARTS_BEFORE_FIRST_CUT, STARTS)
    server.reboot()
    in_the_middle(collector, run_id, STARTS_BEFORE_SECOND_CUT, STARTS)
    vmm = server.machine.pid
    server.pull_plug()
    assert not Path(f"/proc/{vmm}").exists()
    server.power_on()
    finished(collector, run_id)
    resumed = resumptions(all_kept(server, collector, (run_id, NAME), STARTS, folder))
    assert [each.rebooted for each in resumed] == [True, True]


def is_upgraded_and_taken_back_in_a_run(server: Guest, collector: Operator, folder: Path) -> None:
    starts = STARTS_OVER_AN_UPGRADE
    bring_release(server, NEW)
    upgrade = f"/srv/cargo/tonnage-{NEW}/install.sh upgrade"
    built = server.run(f"{upgrade} --no-start", INSTALL_SECONDS)
    assert f"release {NEW}" not in built  # it came built, which the operator may do as well
    run_id = submit(collector, fake_runs("over-an-upgrade", NAME, starts), folder)
    in_the_middle(collector, run_id, STARTS_BEFORE_FIRST_CUT, starts)
    assert "tonnage-agent.service restarted" in server.run(upgrade)
    healthy(collector, NAME, NEW)
    in_the_middle(collector, run_id, STARTS_BEFORE_SECOND_CUT, starts)
    assert "tonnage-agent.service restarted" in server.run("/opt/tonnage/install.sh rollback")
    healthy(collector, NAME, OLD)
    finished(collector, run_id)
    resumed = resumptions(all_kept(server, collector, (run_id, NAME), starts, folder))
    assert [each.rebooted for each in resumed] == [False, False]


def starts_real_containers(server: Guest, collector: Operator, folder: Path) -> None:
    images = "/opt/tonnage/share/images"
    server.run(f"systemctl start docker && docker load -qi {images}/tonnage-idle-1.tar", 200)
    run_id = submit(collector, DOCKER, folder)
    finished(collector, run_id)
    all_kept(server, collector, (run_id, NAME), DOCKER_STARTS, folder)
    assert server.run("docker ps --all --quiet") == ""


def ends_them_by_the_red_button(server: Guest, collector: Operator) -> None:
    """From the operator's command to a process of root, through the hardened unit."""
    collector.tonnage("launch", "docker", "tonnage/idle:1", "--host", NAME)
    pid = server.run("docker inspect -f '{{.State.Pid}}' $(docker ps --quiet)").strip()
    assert server.attempt(f"kill -0 {pid}").code == 0
    (told,) = collector.ask("stop-all", "--yes")
    assert (told["killed"], told["alive"], told["leaked"]) == (1, [], [])
    assert server.attempt(f"kill -0 {pid}").code != 0
    assert server.run("docker ps --all --quiet") == ""


def is_removed(server: Guest) -> None:
    assert "/opt/tonnage" in server.attempt(LEFT_BEHIND).output
    server.run("/opt/tonnage/install.sh uninstall --purge")
    assert server.attempt(LEFT_BEHIND).output == ""
