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
# Both are started by hand, as there is no systemd; a first line says that it listens.
BEGIN = """
set -e
play() {{ {playbook} "$@" || exit 3; }}
serve() {{
    coproc runuser -u tonnage -- /usr/local/bin/tonnage serve --config /etc/tonnage/collector.toml
    read -r listening <&"${{COPROC[0]}}"
    echo "$listening"
}}
"""
SET_UP = """
play --limit central
serve
play
echo '--- again'
play
"""
# What would restart the agent is left out; the role drains as on a server where one runs.
CONFIGURE = """
printf '#!/bin/sh\\n[ "$1" != is-active ] || echo active\\n' >/usr/local/bin/systemctl
chmod +x /usr/local/bin/systemctl
export TONNAGE_TLS_DIR=/etc/tonnage/pki
rack() {{ play --limit web-1 -e "{{tonnage_agent_labels: {{rack: '$1'}}}}"; }}
hosts() {{ tonnage hosts --output json; }}
serve
tonnage-agent --config /etc/tonnage/agent.toml --runtimes fake >/tmp/agent 2>&1 &
until [[ $(hosts) == *'"healthy"'* ]]; do
    kill -0 $! || {{ cat /tmp/agent; exit 4; }}
    sleep 0.2
done
rack 2
echo '--- open'
hosts
tonnage drain web-1
rack 3
echo '--- shut'
hosts
"""
SETTINGS = "The agent's configuration"
OPEN = "Open the host for runs again, unless it was shut before"
ENVIRONMENT = {"HOME": "/root", "ANSIBLE_NOCOLOR": "1", "ANSIBLE_PIPELINING": "1"}


@pytest.fixture(scope="module")
def debian(debian_tree: Path, tmp_path_factory: pytest.TempPathFactory) -> Debian:
    folder = tmp_path_factory.mktemp("ansible")
    srv = folder / "srv"
    made = wheelhouse.bundle(srv, ROLES, (wheelhouse.PYTHON,), version=None, workloads=False)
    wheelhouse.pack(made)
    shutil.copytree(CHECKOUT / "deploy/ansible", srv / "ansible")
    for each in (folder, srv):
        each.chmod(0o755)
    return Debian((debian_tree,), folder / "debian", srv)


def played(debian: Debian, script: str) -> str:
    """What the script said, in which ``play`` plays the role."""
    (bundle,) = debian.srv.glob("*.tar.gz")
    script = (BEGIN + script).format(playbook=PLAYBOOK.format(bundle.name))
    prepared = f"cat >/tmp/inventory.yml <<'END'\n{INVENTORY}\nEND\n"
    result = debian.run("bash", "-c", prepared + script, timeout=200, environment=ENVIRONMENT)
    assert result.returncode == 0, result.stdout[-3000:]
    return result.stdout


@pytest.fixture(scope="module")
def set_up(debian: Debian) -> str:
    """What was said when the role was played twice."""
    return played(debian, SET_UP)


def test_its_syntax_is_right(debian: Debian) -> None:
    played(debian, "play --syntax-check")


def test_the_playbook_installs_both_joins_and_then_changes_nothing(
    debian: Debian, set_up: str
) -> None:
    first, _, second = set_up.partition("--- again")
    assert '"listening": "0.0.0.0:7070"' in first
    assert re.findall(r"^(\S+) .*changed=(\d+)", second, re.MULTILINE) == [
        ("central", "0"),
        ("web-1", "0"),
    ]
    identity = debian.run("ls", "/var/lib/tonnage/agent/identity")
    assert {"agent.key", "agent.pem", "ca.pem"} <= set(identity.stdout.split())
    settings = debian.run("cat", "/etc/tonnage/agent.toml").stdout
    assert 'labels = { "rack" = "1" }' in settings


@pytest.mark.usefixtures("set_up")
def test_another_configuration_is_put_in_a_drain_that_an_operators_outlasts(
    debian: Debian, tmp_path: Path
) -> None:
    server = debian.copy(tmp_path / "debian")
    told = played(server, CONFIGURE)
    first, _, second = told.partition("--- open")
    assert changed(first) == ["Drain the host", SETTINGS, OPEN]
    assert '"draining": false' in second.partition("PLAY")[0]
    assert changed(second) == [SETTINGS]
    assert '"draining": true' in second.partition("--- shut")[2]
    assert '"rack" = "3"' in server.run("cat", "/etc/tonnage/agent.toml").stdout


def changed(told: str) -> list[str]:
    """The tasks of a play that changed something."""
    found = re.findall(r"^TASK \[tonnage : (.+)\] \*+\nchanged: ", told, re.MULTILINE)
    return [task for task in found if not task.endswith("?")]
