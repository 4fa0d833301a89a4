"""A cgroup for each machine below a delegated unit, on a server with cgroups of version 2 alone."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from agent.runtimes import cgroups
from tests.hosts.guest.guest import Guest

pytestmark = [
    pytest.mark.qemu,
    pytest.mark.slow,
    pytest.mark.timeout(300),
]

MIB = 1 << 20
# What the agent does at its start, and then with a machine: here a process of 50 MB.
PROGRAM = f"""
import json, subprocess, sys
sys.path.insert(0, "/srv/cargo")
import cgroups
parents = cgroups.parents()
assert cgroups.parents() == parents
groups = {{key: folder / "tonnage-vm" for key, folder in parents.items()}}
cgroups.make(groups)
words = "import sys; held = bytearray({50 * MIB}); print('up', flush=True); sys.stdin.read()"
machine = subprocess.Popen(
    [sys.executable, "-c", words], stdin=subprocess.PIPE, stdout=subprocess.PIPE,
    preexec_fn=lambda: [(g / "cgroup.procs").write_text("0") for g in groups.values()],
)
machine.stdout.readline()
memory = groups["unified"] / "memory.current"
found = {{
    "parent": str(parents["unified"]),
    "self": open("/proc/self/cgroup").read().strip(),
    "memory": int(memory.read_text()) if memory.exists() else None,
    "cpu": cgroups.cpu_ns(groups),
}}
machine.stdin.close()
machine.wait()
found["left"] = [str(folder) for folder in cgroups.remove(groups)]
print(json.dumps(found))
"""


def test_memory_is_charged_to_each_machine_below_a_delegated_unit(
    server_image: Path, tmp_path: Path
) -> None:
    program = tmp_path / "program.py"
    program.write_text(PROGRAM)
    cargo = [program, Path(cgroups.__file__)]
    started = "systemd-run --quiet --wait --pipe --unit under-test"
    with Guest(server_image, tmp_path, {}, cargo) as guest:
        delegated = json.loads(
            guest.run(f"{started} -p Delegate=yes python3 /srv/cargo/program.py")
        )
        shared = json.loads(guest.run(f"{started} bash -c 'python3 /srv/cargo/program.py; exit'"))
    unit = "/system.slice/under-test.service"
    assert delegated["parent"] == f"/sys/fs/cgroup{unit}"
    assert delegated["self"] == f"0::{unit}/{cgroups.AGENTS_LEAF}"
    assert 50 * MIB < delegated["memory"] < 100 * MIB
    assert delegated["cpu"] > 0
    assert (shared["self"], shared["memory"]) == (f"0::{unit}", None)  # its shell is in it too
    assert shared["cpu"] > 0
    assert delegated["left"] == shared["left"] == []
