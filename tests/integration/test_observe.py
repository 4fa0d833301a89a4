"""Dashboards and recording rules, on what a real fleet of one host really left behind."""

from __future__ import annotations

import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from deploy.observe import check, filling, rules
from deploy.observe.configuration import SCRAPE_SECONDS
from deploy.observe.dashboards import read
from deploy.observe.filling import Machine
from deploy.observe.panels import Proof, tell
from deploy.observe.stack import CHECKOUT, stack
from deploy.postgres import PrivatePostgres
from tests.integration.observed import processes, reachable_folder

HOST = "h1"
PATIENCE_SECONDS = 45.0
# Nothing is wrong here: make observe-check, which makes alerts fire, proves these.
OF_ALERTS = {"Alerts", "Alerts in the time range"}


@pytest.fixture
def folder() -> Iterator[Path]:
    with reachable_folder() as made:
        yield made


@pytest.fixture
def machine(docker_host: str, guest_dir: Path, images_dir: Path) -> Machine:
    return Machine(docker_host, guest_dir, images_dir)


@pytest.mark.docker
@pytest.mark.qemu
@pytest.mark.slow
@pytest.mark.timeout(300)
async def test_every_panel_and_every_recording_rule_has_something_to_show(
    folder: Path, machine: Machine, postgres: PrivatePostgres, prometheus: str
) -> None:
    gate = filling.odd_gate(machine, folder)
    async with (
        stack(folder, (HOST,), machine.flags(folder), lambda _: None, gate) as made,
        filling.neighbours(machine, folder),
    ):
        await filling.healthy(made, 30)
        await filling.standing(made, machine)
        run_id = await filling.experiments(made, machine, lambda _: None, brief=True)
        viewer = check.Viewer(made.sources, run_id, SCRAPE_SECONDS)
        shown = read(CHECKOUT / "grafana" / "dashboards")
        async with filling.trickle(made):
            proofs = await viewer.sees(shown, PATIENCE_SECONDS, but_for=OF_ALERTS)
        tell(proofs)
        recorded = {
            name: await rules.series_of(made.sources.prometheus, name, time.time())
            for name in rules.records()
        }
        assert await rules.unhealthy(made.sources.prometheus) == []
    assert shown
    assert recorded
    assert {proof.dashboard for proof in proofs} == {dashboard.uid for dashboard in shown}
    assert [_told(proof) for proof in proofs if not proof.ok and proof.title not in OF_ALERTS] == []
    assert [name for name, series in recorded.items() if not series] == []
    assert not [*processes(folder)]


def _told(proof: Proof) -> str:
    return f"{proof.dashboard}: {proof.title}: {proof.judgement.problem}"
