"""Whose CPU time it was: a made-up host, counted in ticks, and this one."""

from __future__ import annotations

import os
import time
from pathlib import Path

import pytest

from agent import process
from agent.probes.base import Roots
from agent.probes.load import Accounts, HostLoad, Shares
from agent.process import TICK_NS

SECOND = 1_000_000_000 // TICK_NS  # in ticks


class MadeUpHost:
    """A host of two CPUs whose accounts the test writes, and its clock."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.now = 0.0
        self.busy = self.steal = 0
        self.write()
        self.roots = Roots(folder, folder / "sys")

    def write(self) -> None:
        line = f"{self.busy} 0 0 0 0 0 0 {self.steal} 0 0"
        (self.folder / "stat").write_text(f"cpu  {line}\ncpu0 {line}\ncpu1 {line}\nintr 0\n")

    def spend(self, seconds: float, *, busy: float = 0, steal: float = 0) -> None:
        self.now += seconds
        self.busy += round(busy * SECOND)
        self.steal += round(steal * SECOND)
        self.write()

    def process(self, pid: int, seconds: float, children: float = 0) -> None:
        ticks = f"{round(seconds * SECOND)} 0 {round(children * SECOND)} 0"
        (self.folder / str(pid)).mkdir(exist_ok=True)
        text = f"{pid} (p) S 1 1 1 0 -1 0 0 0 0 0 {ticks} 20 0 1 0 5 1 1\n"
        (self.folder / str(pid) / "stat").write_text(text)

    def load(self, *programs: int) -> HostLoad:
        return HostLoad(self.roots, programs, now=lambda: self.now)


@pytest.fixture
def host(tmp_path: Path) -> MadeUpHost:
    return MadeUpHost(tmp_path)


def test_what_nobody_of_ours_used_is_foreign(host: MadeUpHost) -> None:
    load = host.load()
    before = load.snapshot()
    host.spend(1, busy=0.5, steal=0.2)
    assert load.shares(before, load.snapshot()) == Shares(0.25, 0.1)


def test_agent_engine_and_instances_are_ours(host: MadeUpHost) -> None:
    for pid in (10, 20, 30):
        host.process(pid, 5)
    load = host.load(10)
    load.engines([20])
    before = load.snapshot()
    host.process(10, 5.1)  # the agent
    host.process(20, 5.1, children=0.2)  # a daemon and what it waited for
    host.process(30, 0.4, children=0.2)  # an instance counts from its beginning
    load.joined("i", lambda: [30])
    host.spend(1, busy=1.0)
    assert load.shares(before, load.snapshot()) == Shares(0.0, 0.0)


def test_children_of_the_agent_are_not_counted_twice(host: MadeUpHost) -> None:
    host.process(10, 1)
    load = host.load(10)
    before = load.snapshot()
    host.process(10, 1, children=9)  # a VMM that it waited for
    host.spend(1, busy=0.5)
    assert load.shares(before, load.snapshot()).foreign == 0.25


def test_an_instance_that_ended_inside_the_window_stays_counted(host: MadeUpHost) -> None:
    load = host.load()
    before = load.snapshot()
    load.joined("i", lambda: [30])
    host.process(30, 0.5)
    load.leaving("i")
    load.left("i")
    load.left("i")
    host.spend(1, busy=0.5)
    assert load.shares(before, load.snapshot()).foreign == 0.0


def test_an_instance_not_yet_there_is_found_later(host: MadeUpHost) -> None:
    pids: list[int] = []
    load = host.load()
    load.joined("i", lambda: pids)
    before = load.snapshot()
    pids.append(30)
    host.process(30, 0.5)
    host.spend(1, busy=0.5)
    assert load.shares(before, load.snapshot()).foreign == 0.0


def test_settled_instances_are_not_looked_for_again_and_read_seldom(host: MadeUpHost) -> None:
    asked = []

    def find() -> list[int]:
        asked.append(1)
        return [30]

    host.process(30, 0)
    load = host.load()
    load.joined("i", find)
    load.snapshot()
    host.spend(60)
    load.snapshot()
    host.process(30, 1)
    host.spend(0.5, busy=1)
    unread = load.snapshot()
    host.spend(0.6)
    read = load.snapshot()
    assert asked == [1]
    assert unread is not None
    assert read is not None
    assert read.own_ns - unread.own_ns == 1_000_000_000


def test_a_process_that_is_gone_does_not_shrink_the_account(host: MadeUpHost) -> None:
    host.process(30, 1)
    load = host.load()
    load.joined("i", lambda: [30])
    before = load.snapshot()
    (host.folder / "30/stat").unlink()
    host.spend(0.3)
    after = load.snapshot()
    assert before is not None
    assert after is not None
    assert after.own_ns == before.own_ns == 1_000_000_000


def test_a_window_too_short_for_ticks_has_no_share(host: MadeUpHost) -> None:
    load = host.load()
    before = load.snapshot()
    host.spend(0.05, busy=0.1)
    assert load.shares(before, load.snapshot()) == Shares(None, None)


def test_a_difference_within_the_uncertainty_is_zero_and_beyond_it_unknown(
    host: MadeUpHost,
) -> None:
    load = host.load()
    before = Accounts(0, 0, 0, 0)
    for own_ticks, foreign in ((3, 0.0), (4, 0.0), (5, None)):
        after = Accounts(1_000_000_000, 0, 0, own_ticks * TICK_NS)
        assert load.shares(before, after).foreign == foreign


def test_a_host_that_tells_nothing_has_no_share(tmp_path: Path) -> None:
    load = HostLoad(Roots(tmp_path, tmp_path))
    assert load.snapshot() is None
    assert load.shares(None, None) == Shares(None, None)


def test_the_root_groups_account_is_taken_when_it_is_the_hosts(host: MadeUpHost) -> None:
    folder = host.folder / "sys/fs/cgroup/cpuacct"
    folder.mkdir(parents=True)
    host.spend(0, busy=100)
    (folder / "cpuacct.usage").write_text("99123456789\n")
    exact = host.load().snapshot()
    (folder / "cpuacct.usage").write_text("1\n")  # that of a namespace
    ticks = host.load().snapshot()
    assert exact is not None
    assert ticks is not None
    assert exact.busy_ns == 99123456789
    assert ticks.busy_ns == 100_000_000_000


def test_our_own_work_on_this_host_is_not_foreign() -> None:
    load = HostLoad(programs=[os.getpid()])
    before = load.snapshot()
    begun = process.cpu_ns(os.getpid()) or 0
    while (process.cpu_ns(os.getpid()) or 0) - begun < 300_000_000:
        pass
    after = load.snapshot()
    assert before is not None
    assert after is not None
    assert after.own_ns - before.own_ns >= 300_000_000


def test_a_snapshot_of_many_settled_instances_is_cheap() -> None:
    clock = [0.0]
    load = HostLoad(programs=[os.getpid()], now=lambda: clock[0])
    for number in range(200):
        load.joined(str(number), lambda: [os.getpid(), os.getppid()])
    load.snapshot()
    clock[0] += 60
    load.snapshot()
    clock[0] += 0.1
    begun = time.thread_time()
    for _ in range(20):
        load.snapshot()
    assert (time.thread_time() - begun) / 20 < 0.002
