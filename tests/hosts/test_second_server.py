"""A second server in earnest: Tonnage installed, joined, rebooted, cut off from power, upgraded
and removed on a Debian with its own kernel, memory, systemd and Docker."""

from __future__ import annotations

import base64
import os
import re
import socket
import ssl
from pathlib import Path
from typing import Any

import pytest

import tonnage
from agent.storage.records import payloads
from deploy import wheelhouse
from tests.hosts.guest.guest import Guest
from tests.hosts.guest.operator import Operator, operator, until
from tests.hosts.test_guest import free_port
from tests.proof import prove
from tonnage.model import Event, RunResumed, RunState
from tonnage.wire import from_bytes

pytestmark = [pytest.mark.qemu, pytest.mark.slow, pytest.mark.timeout(1500)]

NAME = "second"
PYTHON = "3.11"  # Debian 12's
OLD, NEW = tonnage.__version__, f"{tonnage.__version__}.post1"
STARTS = 60
STARTS_BEFORE_REBOOT, STARTS_BEFORE_POWER_CUT = 5, 25
DOCKER_STARTS = 3
# The guest's CPUs are emulated, beside whatever else this machine does.
INSTALL_SECONDS = 400.0
PATIENCE_SECONDS = 300.0
# From 0, with nothing left to win, to 10; the issue asks for this of the collector.
MOST_EXPOSED = 4.0

FAKE = f"""
name: over-a-reboot
hosts: [{NAME}]
workload:
  image: fake:ok
  readiness: {{log: TONNAGE READY}}
  environment: {{FAKE_DURABLE: "1", FAKE_READY_MS: "400"}}
targets: [{{runtime: fake}}]
startup: {{trials: {STARTS}, warmup: 0}}
"""
DOCKER = f"""
name: real-containers
hosts: [{NAME}]
workload: {{image: "tonnage/idle:1", readiness: {{log: TONNAGE READY}}}}
targets: [{{runtime: docker}}]
startup: {{trials: {DOCKER_STARTS}, warmup: 0}}
"""
LEFT_BEHIND = """
find / -xdev \\( -path /srv/cargo -o -path /proc -o -path /usr/local/lib/tonnage-guest \\) -prune \
    -o -iname '*tonnage*' ! -path '/var/lib/docker/*' -print
getent passwd tonnage; pgrep -a tonnage; docker ps --all --quiet
systemctl list-units --all --plain --no-legend '*tonnage*'; systemctl --failed --plain --no-legend
"""


@pytest.fixture
def bundles(images_dir: Path, tmp_path: Path) -> list[Path]:
    """What is brought to the server: a release with its workloads, and a newer one."""
    make, roles, pythons = wheelhouse.bundle, ("agent",), (PYTHON,)
    return [
        make(tmp_path, roles, pythons, None, workloads=True),
        make(tmp_path, roles, pythons, NEW, workloads=True),
    ]


def test_a_server_is_installed_joins_is_rebooted_in_a_run_upgraded_and_removed(
    server_image: Path, bundles: list[Path], tmp_path: Path
) -> None:
    service, metrics = free_port(), free_port()
    with (
        operator(tmp_path, "--lease", "5") as collector,
        Guest(server_image, tmp_path, {7080: service, metrics: metrics}, bundles) as server,
    ):
        install(server, service, metrics)
        join(server, collector)
        runs_hardened(server)
        is_listed_with_its_own_kernel_and_memory(server, collector)
        tells_its_metrics_to_who_has_the_token(collector, metrics)
        goes_on_after_a_reboot_and_a_power_cut(server, collector, tmp_path)
        is_upgraded(server, collector)
        starts_real_containers(server, collector, tmp_path)
        is_removed(server)


def install(server: Guest, service: int, metrics: int) -> None:
    settings = (
        f'name = "{NAME}"\nruntimes = ["fake", "docker"]\nlisten = "0.0.0.0:7080"\n'
        f'metrics = "0.0.0.0:{metrics}"\nadvertise = "127.0.0.1:{service}"\n'
    )
    server.put("/etc/tonnage/agent.toml", settings)
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
    facts = healthy(collector, OLD)["facts"]
    kernel = server.run("uname -r").strip()
    memory_kib = server.run("sed -n 's/^MemTotal: *\\([0-9]*\\) kB/\\1/p' /proc/meminfo")
    assert facts["kernel"] == kernel != os.uname().release
    assert facts["memory_bytes"] == int(memory_kib) * 1024
    assert facts["boot_id"] == server.boot_id


def healthy(collector: Operator, version: str) -> dict[str, Any]:
    def there(host: dict[str, Any]) -> bool:
        return bool(host["state"] == "healthy" and host["facts"]["agent_version"] == version)

    return until(lambda: collector.host(NAME), there, PATIENCE_SECONDS)


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
    run_id = submit(collector, FAKE, folder)
    in_the_middle(collector, run_id, STARTS_BEFORE_REBOOT)
    server.reboot()
    in_the_middle(collector, run_id, STARTS_BEFORE_POWER_CUT)
    server.pull_plug()
    server.power_on()
    finished(collector, run_id)
    events = all_kept(server, collector, run_id, STARTS, folder)
    resumed = [event.payload for event in events if isinstance(event.payload, RunResumed)]
    assert [each.rebooted for each in resumed] == [True, True]


def in_the_middle(collector: Operator, run_id: str, starts: int) -> None:
    run = until(
        lambda: collector.run(run_id), lambda run: run["trials"] >= starts, PATIENCE_SECONDS
    )
    assert run["trials"] < STARTS


def submit(collector: Operator, spec: str, folder: Path) -> str:
    path = folder / "spec.yaml"
    path.write_text(spec)
    return collector.tonnage("run", str(path), "--detach").strip()


def finished(collector: Operator, run_id: str) -> None:
    ended = until(
        lambda: collector.run(run_id),
        lambda run: run["state"] in ("finished", "partial", "failed", "cancelled"),
        PATIENCE_SECONDS,
    )
    assert ended["state"] == RunState.FINISHED, ended


def all_kept(
    server: Guest, collector: Operator, run_id: str, starts: int, folder: Path
) -> list[Event]:
    """What the agent recorded, once it is proven that the collector has it, once each."""
    spooled = server.run(f"base64 -w0 /var/lib/tonnage/agent/spool/{run_id}/events.log")
    spool = folder / "events.log"
    spool.write_bytes(base64.b64decode(spooled))
    proof = prove(collector.store, spool, (run_id, NAME), starts)
    assert proof.holds, proof
    return [from_bytes(record, Event) for record in payloads(spool.read_bytes())]


def is_upgraded(server: Guest, collector: Operator) -> None:
    server.run(f"/srv/cargo/tonnage-{NEW}/install.sh upgrade", INSTALL_SECONDS)
    healthy(collector, NEW)


def starts_real_containers(server: Guest, collector: Operator, folder: Path) -> None:
    images = "/opt/tonnage/share/images"
    server.run(f"systemctl start docker && docker load -qi {images}/tonnage-idle-1.tar", 200)
    run_id = submit(collector, DOCKER, folder)
    finished(collector, run_id)
    all_kept(server, collector, run_id, DOCKER_STARTS, folder)
    assert server.run("docker ps --all --quiet") == ""


def is_removed(server: Guest) -> None:
    assert "/opt/tonnage" in server.attempt(LEFT_BEHIND).output
    server.run(f"/srv/cargo/tonnage-{NEW}/install.sh uninstall --purge")
    assert server.attempt(LEFT_BEHIND).output == ""
