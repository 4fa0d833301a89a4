"""Opens each runtime and each store for its conformance suite."""

from __future__ import annotations

import uuid
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from agent.runtimes.registry import open_runtimes
from collector.stores.base import Store
from tests.contracts.runtimes import KINDS, Stand, settings_for
from tests.contracts.stores import ENGINES, Engine

_PARAMETERS = [
    pytest.param("fake"),
    pytest.param("docker", marks=pytest.mark.docker),
    pytest.param("docker-runsc", marks=pytest.mark.docker),
    pytest.param("podman", marks=pytest.mark.podman),
    pytest.param("containerd", marks=pytest.mark.containerd),
    pytest.param("runc", marks=pytest.mark.runc),
    pytest.param("qemu-microvm", marks=pytest.mark.qemu),
    pytest.param("qemu-full", marks=[pytest.mark.qemu, pytest.mark.timeout(200)]),
]
# Those that restore from snapshots.
RESTORING = ("fake", "qemu-microvm")


async def _opened(request: pytest.FixtureRequest, tmp_path: Path) -> AsyncIterator[Stand]:
    """A runtime of this kind, of an agent that lives for this test alone."""
    kind = KINDS[request.param]
    for name in kind.requires:
        request.getfixturevalue(name)
    given = {name: request.getfixturevalue(name) for name in kind.needs}
    name = f"c{uuid.uuid4().hex[:10]}"
    settings = settings_for(kind, given, name, tmp_path)
    (runtime,) = open_runtimes([kind.name], settings)
    stand = Stand(kind, runtime, settings, run_id=name)
    try:
        yield stand
    finally:
        await stand.close()


stand = pytest.fixture(params=_PARAMETERS)(_opened)
restoring = pytest.fixture(params=[each for each in _PARAMETERS if each.values[0] in RESTORING])(
    _opened
)


@pytest.fixture(params=sorted(ENGINES))
def engine(request: pytest.FixtureRequest) -> Engine:
    """A kind of store."""
    kind = ENGINES[request.param]
    return kind.make(request.getfixturevalue(kind.needs))


@pytest.fixture
async def store(engine: Engine) -> AsyncIterator[Store]:
    """A new store."""
    opened = await engine.open()
    yield opened
    await opened.close()
