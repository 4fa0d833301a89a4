"""Looking at a host: its engine's containers, their starts, and when it is not looked at."""

from __future__ import annotations

import asyncio
import subprocess
import sys
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest
from prometheus_client import CollectorRegistry

from agent.observed.watching import Watch
from agent.probes.base import Roots
from agent.runtimes.docker.config import LABEL_AGENT
from tests.unit.observed.engine import FakeEngine, container, event

SECOND = 10**9
PROC = Roots().proc


class Looker:
    """A watch over a fake engine, and what its metrics say."""

    def __init__(self, engine: FakeEngine, roots: Roots) -> None:
        self.registry = CollectorRegistry()
        self.probes: list[tuple[str, bool]] = []
        self.counted = threading.Semaphore(0)
        self.watch = Watch(engine.url, "me", self.registry, self._probed, roots)
        count = self.watch.events._started

        def started(seconds: float) -> None:
            count(seconds)
            self.counted.release()

        self.watch.events._started = started

    def _probed(self, name: str, seconds: float, success: bool) -> None:
        assert seconds >= 0
        self.probes.append((name, success))

    def look(self) -> None:
        self.watch.look(lambda: False)

    def instances(self, state: str, runtime: str = "docker") -> float | None:
        labels = {"runtime": runtime, "state": state}
        return self.registry.get_sample_value("tonnage_observed_instances", labels)

    def memory(self, estimator: str, runtime: str = "docker") -> float | None:
        labels = {"runtime": runtime, "estimator": estimator}
        return self.registry.get_sample_value("tonnage_observed_memory_bytes", labels)

    def starts(self, what: str) -> float | None:
        name = f"tonnage_observed_start_seconds_{what}"
        return self.registry.get_sample_value(name, {"runtime": "docker"})


@pytest.fixture
def engine(tmp_path: Path) -> Iterator[FakeEngine]:
    engine = FakeEngine(tmp_path / "engine.sock")
    engine.start()
    yield engine
    engine.stop()


@pytest.fixture
def looker(engine: FakeEngine, tmp_path: Path) -> Iterator[Looker]:
    """Of a host whose /proc shows the test's own processes alone."""
    proc = tmp_path / "proc"
    proc.mkdir()
    looker = Looker(engine, Roots(proc=proc))
    yield looker
    looker.watch.close()


@pytest.fixture
def process(looker: Looker, tmp_path: Path) -> Iterator[int]:
    """A live process of a container."""
    del looker
    with subprocess.Popen([sys.executable, "-c", "input()"], stdin=subprocess.PIPE) as child:
        (tmp_path / "proc" / str(child.pid)).symlink_to(PROC / str(child.pid))
        yield child.pid
        child.kill()


def test_others_containers_are_counted_by_state_and_the_agents_own_are_not(
    engine: FakeEngine, looker: Looker
) -> None:
    engine.containers = [
        container("a", "exited"),
        container("b", "exited", 0, **{LABEL_AGENT: "you"}),
        container("c", "created"),
        container("d", "exited", 0, **{LABEL_AGENT: "me"}),
    ]
    looker.look()
    assert (looker.instances("exited"), looker.instances("created")) == (2, 1)
    assert looker.instances("running") == 0
    assert looker.instances("running", "qemu") == 0
    assert looker.probes == [("observed_docker", True), ("observed_qemu", True)]


def test_a_running_container_is_weighed_and_its_process_asked_for_once(
    engine: FakeEngine, looker: Looker, process: int
) -> None:
    engine.containers = [container("a", "running", process)]
    looker.look()
    assert (looker.memory("pss") or 0) > 1 << 20
    looker.look()
    assert [path for _, path in engine.requests].count("/containers/a/json") == 1


def test_while_a_process_is_not_found_no_sum_is_shown(
    engine: FakeEngine, looker: Looker, process: int
) -> None:
    engine.containers = [container("a", "running", process), container("b", "running", 0)]
    looker.look()
    unread = looker.registry.get_sample_value(
        "tonnage_observed_unread_instances", {"runtime": "docker"}
    )
    assert (unread, looker.memory("pss")) == (1, None)
    assert looker.instances("running") == 2


def test_told_to_stop_it_asks_for_no_further_process(
    engine: FakeEngine, looker: Looker, process: int
) -> None:
    engine.containers = [container("a", "running", process), container("b", "running", process)]
    looker.watch.look(lambda: True)
    assert "/containers/a/json" not in [path for _, path in engine.requests]
    assert looker.instances("running") == 2
    looker.look()
    assert looker.memory("pss") is not None


def test_the_engine_is_asked_and_never_told(
    engine: FakeEngine, looker: Looker, process: int
) -> None:
    engine.containers = [container("a", "running", process)]
    looker.watch.events.attend(True)
    engine.wait_for_followers(1)
    looker.look()
    assert {method for method, _ in engine.requests} == {"GET"}


def test_starts_are_counted_as_the_engine_tells_of_them(engine: FakeEngine, looker: Looker) -> None:
    looker.watch.events.attend(True)
    engine.wait_for_followers(1)
    engine.tell(event("create", "a", SECOND))
    engine.tell(event("start", "a", SECOND + SECOND // 4))
    assert looker.counted.acquire(timeout=10)
    assert (looker.starts("count"), looker.starts("sum")) == (1, 0.25)


def test_an_engine_that_went_away_is_found_again_and_what_it_tells_twice_counts_once(
    engine: FakeEngine, looker: Looker
) -> None:
    looker.watch.events.attend(True)
    engine.wait_for_followers(1)
    engine.past = [event("create", "a", SECOND), event("start", "a", 2 * SECOND)]
    for told in engine.past:
        engine.tell(told)
    assert looker.counted.acquire(timeout=10)
    looker.look()
    engine.stop()
    looker.look()
    assert looker.instances("exited") is None
    assert looker.probes[-2:] == [("observed_docker", False), ("observed_qemu", True)]
    engine.start()
    engine.wait_for_followers(1)
    engine.tell(event("create", "b", 3 * SECOND))
    engine.tell(event("start", "b", 5 * SECOND))
    assert looker.counted.acquire(timeout=10)
    assert (looker.starts("count"), looker.starts("sum")) == (2, 3.0)
    looker.look()
    assert looker.instances("exited") == 0


def test_an_engine_that_talks_nonsense_is_a_failing_probe(
    engine: FakeEngine, looker: Looker
) -> None:
    engine.containers = ["what?"]  # type: ignore[list-item]  # the very point
    looker.look()
    assert looker.probes == [("observed_docker", False), ("observed_qemu", True)]


def test_a_host_without_an_engine_has_no_failing_probe(engine: FakeEngine, looker: Looker) -> None:
    engine.stop()
    engine.socket.unlink(missing_ok=True)
    looker.look()
    assert looker.probes == [("observed_qemu", True)]
    assert looker.instances("running") is None


def test_an_engine_that_is_no_socket_here_is_a_failing_probe(
    engine: FakeEngine, tmp_path: Path
) -> None:
    engine.url = "tcp://engine.example:2375"
    looker = Looker(engine, Roots(proc=tmp_path))
    looker.look()
    looker.watch.close()
    assert looker.probes[0] == ("observed_docker", False)


def test_a_stream_that_cannot_be_closed_ends_nothing_else(
    engine: FakeEngine, looker: Looker
) -> None:
    """As the SDK's cannot once the engine has ended it."""
    looker.watch.events.attend(True)
    assert looker.watch.events.following.wait(10)
    stream, looker.watch.events._stream = looker.watch.events._stream, object()
    looker.watch.events.attend(False)
    stream.close()
    engine.wait_for_followers(0)


async def test_while_the_agent_is_busy_nothing_is_looked_at_and_the_engine_let_go_of(
    engine: FakeEngine, looker: Looker
) -> None:
    busy = threading.Event()
    looking = asyncio.create_task(looker.watch.keep_looking(0.02, busy.is_set))
    await asyncio.to_thread(engine.wait_for_followers, 1)
    busy.set()
    await asyncio.to_thread(engine.wait_for_followers, 0)
    looked = len(engine.requests)
    for _ in range(3):
        assert not looking.done()
        await asyncio.sleep(0)
    assert len(engine.requests) == looked
    busy.clear()
    await asyncio.to_thread(engine.wait_for_followers, 1)
    looking.cancel()
    with pytest.raises(asyncio.CancelledError):
        await looking


def test_it_ends_at_once_while_it_follows(engine: FakeEngine, looker: Looker) -> None:
    looker.watch.events.attend(True)
    engine.wait_for_followers(1)
    looker.watch.close()
    engine.wait_for_followers(0)
    assert not [thread for thread in threading.enumerate() if thread.name == "observed-events"]
