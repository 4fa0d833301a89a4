"""The systemd units: they parse, they are shut, and they never give up."""

from __future__ import annotations

import re
import subprocess
from pathlib import Path

import pytest

UNITS = Path(__file__).parents[3] / "deploy/systemd"
ROLES = ("agent", "collector")
# Of ten; `systemd-analyze security` counts in tenths. The agent's is what its work needs.
EXPOSURE = {"agent": 30, "collector": 15}
# Each is open, or wider than it might be.
RIGHTS = (
    "User=root",
    "CapabilityBoundingSet=CAP",
    "DeviceAllow=",
    "Delegate=",
    "ProtectControlGroups=no",
    "ProtectProc=default",
    "MemoryDenyWriteExecute=no",
    "PrivateNetwork=no",
    "RestrictAddressFamilies=",
    "LimitNOFILE=",
)


def unit(role: str) -> Path:
    return UNITS / f"tonnage-{role}.service"


@pytest.mark.parametrize("role", ROLES)
def test_its_exposure_is_no_more_than_stated(systemd_analyze: str, role: str) -> None:
    result = subprocess.run(
        [
            systemd_analyze,
            "security",
            "--offline=true",
            f"--threshold={EXPOSURE[role]}",
            str(unit(role)),
        ],
        capture_output=True,
        text=True,
    )
    assert result.returncode == 0, result.stdout[-300:] + result.stderr


@pytest.mark.parametrize("role", ROLES)
def test_the_operations_page_states_the_exposure(systemd_analyze: str, role: str) -> None:
    result = subprocess.run(
        [systemd_analyze, "security", "--offline=true", str(unit(role))],
        capture_output=True,
        text=True,
    )
    found = re.search(r"Overall exposure level for \S+: ([\d.]+)", result.stdout)
    assert found is not None
    page = (UNITS.parents[1] / "docs/operations.md").read_text()
    assert f"{role} {found[1]}" in page


@pytest.mark.parametrize("role", ROLES)
def test_systemd_finds_no_fault_in_it(systemd_analyze: str, role: str, tmp_path: Path) -> None:
    programs = tmp_path / "current/bin"
    programs.mkdir(parents=True)
    for name in ("tonnage", "tonnage-agent"):
        (programs / name).touch(0o755)
    placed = tmp_path / unit(role).name
    placed.write_text(unit(role).read_text().replace("/opt/tonnage", str(tmp_path)))
    result = subprocess.run(
        [systemd_analyze, "verify", str(placed)], capture_output=True, text=True
    )
    ours = [line for line in result.stderr.splitlines() if placed.name in line]
    assert (result.returncode, ours) == (0, [])


@pytest.mark.parametrize("role", ROLES)
def test_it_is_started_again_however_often_it_ends(role: str) -> None:
    lines = unit(role).read_text().splitlines()
    assert {"Restart=always", "StartLimitIntervalSec=0"} <= set(lines)


def test_every_right_of_the_agent_has_its_reason_above_it() -> None:
    lines = unit("agent").read_text().splitlines()
    for right in RIGHTS:
        (at,) = (number for number, line in enumerate(lines) if line.startswith(right))
        while not lines[at - 1].startswith("#") and lines[at - 1]:
            at -= 1  # rights that one reason is given for
        assert lines[at - 1].startswith("#"), right
