"""A real agent and a real collector expose, after runs, every series of the golden pages.

Rules, dashboards and runbooks are held to the golden pages, and those to the programs here.
"""

from __future__ import annotations

import asyncio
import json
import re
from collections.abc import AsyncIterator, Collection
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

import pytest

from collector.client import Client
from collector.endpoint import Endpoint
from deploy.observe import scraping
from tests.integration.enrolling import fleet, serving
from tonnage.model import RunState

_GOLDEN = Path(__file__).parents[1] / "fixtures" / "metrics"
_SPEC = {
    "name": "everything",
    "workload": {"image": "fake:ok", "readiness": {"log": "TONNAGE READY"}},
    "targets": [{"runtime": "fake", "memory": "64MiB"}],
    "startup": {"trials": 20, "concurrency": [2, 1]},
    "footprint": {"counts": [1, 2, 3], "repeats": 1, "settle": "0s"},
    "density": {
        "max_instances": 12,
        "step": 2,
        "settle": "0s",
        "forecast_after": 3,
        "memory_budget": "1GiB",
    },
}
# What only comes of trouble, of a host's kernel, or of engines that are not in this test.
_NOT_HERE = (
    "tonnage_collector_retries_total",
    "tonnage_agent_guard_trips_total",
    "tonnage_host_pressure_ratio",
    "tonnage_observed_",
)
_PATIENCE_SECONDS = 20
_FORESEEN, _MOST_RUNS = "tonnage_agent_ramp_forecast_instances", 8

Page = dict[str, set[frozenset[str]]]
"""The sets of label names that each series comes with."""


def read(text: str) -> Page:
    """The series of a page."""
    found: Page = {}
    for line in text.splitlines():
        if not line.startswith("#"):
            name = re.split(r"[{ ]", line, maxsplit=1)[0]
            found.setdefault(name, set()).add(frozenset(re.findall(r'(\w+)="', line)))
    return found


def _golden(program: str) -> Page:
    page: Page = {}
    for path in _GOLDEN.glob(f"{program}*.prom"):
        page |= read(path.read_text())
    return {name: labels for name, labels in page.items() if not name.startswith(_NOT_HERE)}


@dataclass(frozen=True)
class Scene:
    """Where pages are served, and the folder of who may read them."""

    pki: Path
    agent: str
    collector: str


@pytest.fixture
async def scene(tmp_path: Path) -> AsyncIterator[Scene]:
    """A host that has joined and has been through every experiment."""
    data = tmp_path / "data"
    async with fleet(tmp_path) as one:
        await one.join(data, "h1")
        async with serving(data, "h1", one.collector_files) as agent:
            await one.host("h1")
            made = Scene(one.pki, agent.metrics, one.http)
            await _run_until_foreseen(Endpoint(one.process.address, one.pki), made)
            yield made


async def _run_until_foreseen(at: Endpoint, scene: Scene) -> None:
    """A ramp foresees its end where memory grew. The fake's instances take none, so that is
    chance, beside whatever else this machine does: run it all again, if need be."""
    for _ in range(_MOST_RUNS):
        await _run_everything(at)
        if _FORESEEN in read(await asyncio.to_thread(scraping.page, scene.agent, scene.pki)):
            return


async def _run_everything(at: Endpoint) -> None:
    async with Client(at) as client:
        run_id = await client.submit(json.dumps(_SPEC))
        states = [progress.state async for progress in client.watch(run_id)]
    assert states[-1] is RunState.FINISHED


async def test_after_a_run_every_series_is_there_with_its_labels(scene: Scene) -> None:
    for at, golden in (
        (scene.agent, _golden("agent")),
        (scene.collector, _golden("collector")),
    ):
        assert golden
        page = await _page(at, scene.pki, golden.keys())
        assert golden.keys() - page.keys() == set()
        assert {name: labels for name, labels in page.items() if name in golden} == golden


async def _page(at: str, pki: Path, awaited: Collection[str]) -> Page:
    """The page with everything on it, or as it is once that has taken too long."""
    page: Page = {}
    with suppress(TimeoutError):
        async with asyncio.timeout(_PATIENCE_SECONDS):
            while not page.keys() >= set(awaited):  # results are published after a run's end
                page = read(await asyncio.to_thread(scraping.page, at, pki))
    return page
