"""A server that is collector and agent host at once, under real systemd: set up by hand as
docs/operations.md says, hurt, upgraded by Ansible in a run, and removed."""

from __future__ import annotations

import re
import shutil
from pathlib import Path

import pytest

import tonnage
from deploy import wheelhouse
from deploy.requirements import ROLES
from tests.hosts.debian import CHECKOUT
from tests.hosts.guest.guest import Guest
from tests.hosts.guest.operator import Operator, until
from tests.hosts.guest.releases import Elsewhere, bring_release
from tests.hosts.guest.runs import (
    LEFT_BEHIND,
    PATIENCE_SECONDS,
    all_kept,
    fake_runs,
    fetch,
    finished,
    healthy,
    in_the_middle,
    resumptions,
    spooled,
    submit,
)
from tests.hosts.test_guest import free_port

pytestmark = [
    pytest.mark.qemu,
    pytest.mark.slow,
    pytest.mark.timeout(1500),
]

NAME = "web-1"
OLD, NEW = tonnage.__version__, f"{tonnage.__version__}.post1"
STARTS, STARTS_BEFORE_KILL = 20, 5
WITHOUT_END = 10_000
PLAY_SECONDS = 500.0
MOST_EXPOSED = 4.0  # of ten; the bound for the collector

INVENTORY = f"""
tonnage_collector: {{hosts: {{central: {{ansible_connection: local}}}}}}
tonnage_agents:
  hosts: {{{NAME}: {{ansible_connection: local}}}}
  vars: {{tonnage_join: "127.0.0.1:7071", tonnage_host_name: {NAME}}}
all:
  vars:
    ansible_python_interpreter: /usr/bin/python3
    tonnage_agent_config: {{runtimes: [fake], listen: "0.0.0.0:7080", metrics: "0.0.0.0:7081"}}
"""
AGENT = f"""
name = "{NAME}"
runtimes = ["fake"]
listen = "0.0.0.0:7080"
metrics = "0.0.0.0:7081"
"""
SET_UP = f"""
set -eo pipefail
runuser -u tonnage -- tonnage pki init --operator operator
systemctl enable --now tonnage-collector
export TONNAGE_TLS_DIR=/etc/tonnage/pki
tonnage token create --ttl 10min --host {NAME} --output json > /root/token.json
python3 -c 'import json; print(json.load(open("/root/token.json"))["token"])' |
    tonnage-agent join --config /etc/tonnage/agent.toml --collector 127.0.0.1:7071 --token -
systemctl enable --now tonnage-agent
"""
PLAY = (
    "ANSIBLE_PIPELINING=1 ANSIBLE_NOCOLOR=1 ansible-playbook -i /root/inventory.yml"
    " /srv/cargo/ansible/site.yml -e tonnage_bundle=/srv/cargo/tonnage-{}.tar.gz {}"
)
DRAINED = [
    "Drain the host",
    "The agent's configuration",
    "Install",
    "Open the host for runs again, unless it was shut before",
]
STARTED_AGAIN = (
    "[[ $(systemctl show -P NRestarts tonnage-collector) -ge 1 ]]"
    " && systemctl is-active --quiet tonnage-collector"
)
BACK_UP = """
runuser -u tonnage -- /opt/tonnage/current/bin/python -c \
    'import sqlite3, sys; sqlite3.connect(sys.argv[1]).execute("VACUUM INTO ?", sys.argv[2:])' \
    /var/lib/tonnage/collector/tonnage.db /var/lib/tonnage/collector/backup.db
"""


@pytest.fixture
def cargo(debian_tree: Path, tmp_path: Path) -> list[Path]:
    """The releases of two versions, built, the bundles that they are of, and the playbook.

    What is built already needs no wheels, so that the bundles are small.
    """
    elsewhere = Elsewhere(debian_tree, tmp_path)
    bundles = []
    for version in (OLD, NEW):
        bundle = elsewhere.bundle(ROLES, version)
        elsewhere.build(bundle, ROLES)
        for wheel in bundle.glob("wheels/*.whl"):
            if not wheel.name.startswith("tonnage-"):
                wheel.unlink()
        bundles.append(wheelhouse.pack(bundle))
    shutil.copytree(CHECKOUT / "deploy/ansible", tmp_path / "ansible")
    return [elsewhere.releases, tmp_path / "ansible", *bundles]


def test_a_collector_is_set_up_killed_upgraded_in_a_run_and_removed(
    server_image: Path, cargo: list[Path], tmp_path: Path
) -> None:
    port = free_port()
    with Guest(server_image, tmp_path, {7070: port}, cargo) as server:
        install(server)
        sets_up_both_and_starts_them(server)
        runs_hardened(server)
        collector = reached_from_outside(server, port, tmp_path)
        healthy(collector, NAME, OLD)
        goes_on_when_the_collector_is_killed(server, collector, tmp_path)
        is_upgraded_by_ansible_in_a_run(server, collector, tmp_path)
        is_taken_back(server, collector)
        is_removed(server)


def install(server: Guest) -> None:
    bring_release(server, OLD)
    server.run(f"tar -C /srv -xzf /srv/cargo/tonnage-{OLD}.tar.gz")
    server.put("/root/inventory.yml", INVENTORY)
    server.run(f"/srv/tonnage-{OLD}/install.sh collector agent && rm -r /srv/tonnage-{OLD}")
    for role in ROLES:
        assert server.attempt(f"systemctl is-active tonnage-{role}").output == "inactive\n"


def play(server: Guest, version: str, *flags: str) -> str:
    return server.run(PLAY.format(version, " ".join(flags)), PLAY_SECONDS)


def sets_up_both_and_starts_them(server: Guest) -> None:
    """By hand: that the role does it on a new server, ``test_ansible`` shows."""
    server.put("/etc/tonnage/agent.toml", AGENT)
    server.run(SET_UP, PLAY_SECONDS)
    for role in ROLES:
        assert server.run(f"systemctl is-active tonnage-{role}") == "active\n"


def runs_hardened(server: Guest) -> None:
    told = server.run("systemd-analyze security --no-pager tonnage-collector.service | tail -n 1")
    exposure = re.search(r"tonnage-collector.service: ([\d.]+)", told)
    assert exposure, told
    assert float(exposure[1]) <= MOST_EXPOSED
    assert (
        server.run("ps -o user= -p $(systemctl show -P MainPID tonnage-collector)") == "tonnage\n"
    )


def reached_from_outside(server: Guest, port: int, folder: Path) -> Operator:
    """The collector on the guest, for commands from here with the operator's certificate."""
    for name in ("ca.pem", "operator.pem", "operator.key"):
        fetch(server, f"/etc/tonnage/pki/{name}", folder / "pki" / name)
    return Operator(folder, f"127.0.0.1:{port}", door="")


def goes_on_when_the_collector_is_killed(server: Guest, collector: Operator, folder: Path) -> None:
    run_id = submit(collector, fake_runs("over-a-kill", NAME, STARTS, targets=2), folder)
    in_the_middle(collector, run_id, STARTS_BEFORE_KILL, 2 * STARTS)
    before = server.run("systemctl show -P MainPID tonnage-collector")
    server.run("systemctl kill --kill-whom=main --signal=KILL tonnage-collector")
    server.run(f"until {STARTED_AGAIN}; do sleep 1; done", PATIENCE_SECONDS)
    assert server.run("systemctl show -P MainPID tonnage-collector") != before
    finished(collector, run_id)
    server.run(BACK_UP)
    fetch(server, "/var/lib/tonnage/collector/backup.db", collector.store)
    all_kept(server, collector, (run_id, NAME), 2 * STARTS, folder)
    compares_under_its_hardening(collector, run_id)


def compares_under_its_hardening(collector: Operator, run_id: str) -> None:
    """numpy, scipy and their libraries work where no memory may be written and executed."""
    (compared,) = collector.ask("show", run_id)["comparisons"]
    assert 0 < compared["p_value"] <= 1


def is_upgraded_by_ansible_in_a_run(server: Guest, collector: Operator, folder: Path) -> None:
    healthy(collector, NAME, OLD)
    run_id = submit(collector, fake_runs("over-an-upgrade", NAME, WITHOUT_END), folder)
    in_the_middle(collector, run_id, 1, WITHOUT_END)
    bring_release(server, NEW)
    told = play(server, NEW, "--limit", NAME)
    did = re.findall(r"^TASK \[tonnage : (.+)\] \*+\nchanged: ", told, re.MULTILINE)
    assert [task for task in did if task in DRAINED] == DRAINED, told
    healthy(collector, NAME, NEW)
    in_the_middle(collector, run_id, collector.run(run_id)["trials"] + 1, WITHOUT_END)
    collector.tonnage("cancel", run_id)
    until(lambda: collector.run(run_id), lambda run: run["state"] == "cancelled", PATIENCE_SECONDS)
    # Once, for the new release and for the configuration that the role wrote.
    resumed = resumptions(spooled(server, run_id, folder))
    assert [each.rebooted for each in resumed] == [False]


def is_taken_back(server: Guest, collector: Operator) -> None:
    server.run("/opt/tonnage/install.sh rollback", PATIENCE_SECONDS)
    healthy(collector, NAME, OLD)


def is_removed(server: Guest) -> None:
    assert "/etc/tonnage" in server.attempt(LEFT_BEHIND).output
    server.run("/opt/tonnage/install.sh uninstall --purge && rm -r /var/cache/tonnage")
    assert server.attempt(LEFT_BEHIND).output == ""
