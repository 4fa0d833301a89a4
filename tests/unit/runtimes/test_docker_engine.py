"""What the engine's errors become, and whose fault they tell of."""

from __future__ import annotations

from collections.abc import Iterator
from unittest.mock import Mock

import docker.errors
import pytest
import requests

from agent.errors import LaunchFailed, RuntimeUnavailable, TonnageError
from agent.runtimes.docker import engine as module
from agent.runtimes.docker.engine import Engine, engine_failed


@pytest.fixture
def engine(monkeypatch: pytest.MonkeyPatch) -> Iterator[Engine]:
    """One whose calls are what a test makes them; nothing is connected to."""
    monkeypatch.setattr(module, "connect", Mock())
    engine = Engine("unix:///run/nowhere.sock", "docker", "--docker-host")
    yield engine
    engine.close()


def answered(status: int) -> docker.errors.APIError:
    response = requests.Response()
    response.status_code = status
    return docker.errors.APIError("no", response, "it says no")


@pytest.mark.parametrize(
    ("failure", "becomes", "by_the_engine"),
    [
        (answered(400), LaunchFailed, False),
        (answered(409), LaunchFailed, False),
        (answered(500), LaunchFailed, True),
        (requests.ConnectionError("cut"), RuntimeUnavailable, True),
    ],
)
async def test_a_start_that_failed_by_the_engine_is_told_from_one_that_it_refused(
    engine: Engine, failure: Exception, becomes: type[TonnageError], by_the_engine: bool
) -> None:
    with pytest.raises(becomes) as caught:
        await engine.start(Mock(side_effect=failure), "some/image:1")
    assert engine_failed(caught.value) is by_the_engine


def test_no_failure_is_none_of_the_engine() -> None:
    assert not engine_failed(None)
