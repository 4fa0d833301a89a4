"""The Ansible role, on a Debian without network that is collector and agent host at once."""

from __future__ import annotations

import re
import shutil
from pathlib import Path

import pytest

from deploy import wheelhouse
from deploy.requirements import ROLES
from tests.hosts.debian import CHECKOUT, Debian

pytestmark = [pytest.mark.slow, pytest.mark.timeout(240)]

INVENTORY = """
tonnage_collector: {hosts: {central: {ansible_connection: local}}}
tonnage_agents:
  hosts: {web-1: {ansible_connection: local}}
  vars: {tonnage_join: "127.0.0.1:7071", tonnage_host_name: web-1}
all: {vars: {tonnage_agent_labels: {rack: "1"}, ansible_python_interpreter: /usr/bin/python3}}
"""
PLAYBOOK = "ansible-playbook -i /tmp/inventory.yml /srv/ansible/site.yml -e tonnage_bundle=/srv/{}"
# The collector is started by hand, as there is no systemd; its first line says that it listens.
SCRIPT = """
set -e
play() {{ {playbook} "$@" || exit 3; }}
play --limit central
coproc runuser -u tonnage -- /usr/local/bin/tonnage serve --config /etc/tonnage/collector.toml
read -r listening <&"${{COPROC[0]}}"
echo "$listening"
play
echo '--- again'
play
"""
ENVIRONMENT = {"HOME": "/root", "ANSIBLE_NOCOLOR": "1", "ANSIBLE_PIPELINING": "1"}


@pytest.fixture
def debian(debian_tree: Path, tmp_path: Path) -> Debian:
    srv = tmp_path / "srv"
    made = wheelhouse.bundle(srv, ROLES, (wheelhouse.PYTHON,), version=None, workloads=False)
    wheelhouse.pack(made)
    shutil.copytree(CHECKOUT / "deploy/ansible", srv / "ansible")
    for folder in (tmp_path, srv):
        folder.chmod(0o755)
    return Debian((debian_tree,), tmp_path / "debian", srv)


def test_the_playbook_installs_both_joins_and_then_changes_nothing(debian: Debian) -> None:
    (bundle,) = debian.srv.glob("*.tar.gz")
    playbook = PLAYBOOK.format(bundle.name)
    script = SCRIPT.format(playbook=playbook)
    prepared = f"cat >/tmp/inventory.yml <<'END'\n{INVENTORY}\nEND\n"
    checked = debian.run("bash", "-c", f"{prepared}{playbook} --syntax-check")
    assert checked.returncode == 0, checked.stdout
    result = debian.run("bash", "-c", prepared + script, timeout=200, environment=ENVIRONMENT)
    assert result.returncode == 0, result.stdout[-3000:]
    first, _, second = result.stdout.partition("--- again")
    assert '"listening": "0.0.0.0:7070"' in first
    assert re.findall(r"^(\S+) .*changed=(\d+)", second, re.MULTILINE) == [
        ("central", "0"),
        ("web-1", "0"),
    ]
    identity = debian.run("ls", "/var/lib/tonnage/agent/identity")
    assert {"agent.key", "agent.pem", "ca.pem"} <= set(identity.stdout.split())
    settings = debian.run("cat", "/etc/tonnage/agent.toml").stdout
    assert 'labels = { "rack" = "1" }' in settings
