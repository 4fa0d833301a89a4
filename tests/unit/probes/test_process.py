"""Reading processes: this host's own, and fixture trees."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from pathlib import Path

from agent import process

V2 = Path(__file__).parents[2] / "fixtures/hosts/v2"
PROC = V2 / "proc"


def test_a_name_with_blanks_and_brackets_is_read() -> None:
    assert process.parent(4301, PROC) == 4300
    assert process.start_ticks(4301, PROC) == 5010
    assert process.cmdline(4301, PROC) == ("/bin/sh", "-c", "sleep 9")


def test_children_are_no_children_of_children() -> None:
    assert process.children(1, PROC) == (4242, 4300)


def test_cpu_time_of_a_fixture_comes_in_ticks() -> None:
    assert process.cpu_ns(4300, PROC) == 5 * process.TICK_NS
    assert process.cpu_times(4300, PROC) == process.CpuTimes(
        5 * process.TICK_NS, 10 * process.TICK_NS
    )


def test_a_group_holds_the_groups_below_it_and_no_stranger() -> None:
    folder = V2 / "sys/fs/cgroup/system.slice/docker-abc.scope"
    assert process.cgroup_pids(folder) == (4300, 4301)
    assert process.cgroup_pids(folder / "gone") == ()


def test_a_child_of_ours_is_seen_living_and_dying() -> None:
    with subprocess.Popen([sys.executable, "-c", "input()"], stdin=subprocess.PIPE) as child:
        assert process.alive(child.pid)
        assert process.parent(child.pid) == os.getpid()
        assert child.pid in process.children(os.getpid())
        child.terminate()
        os.waitid(os.P_PID, child.pid, os.WEXITED | os.WNOWAIT)
        assert not process.alive(child.pid)  # a zombie has ended
    assert process.start_ticks(child.pid) is None
    assert process.parent(child.pid) is None
    assert process.cpu_ns(child.pid) is None
    assert process.cmdline(child.pid) == ()
    assert process.children(child.pid) == ()


def test_own_cpu_time_is_exact() -> None:
    before = process.cpu_ns(os.getpid())
    clock = time.process_time_ns()
    after = process.cpu_ns(os.getpid())
    assert before is not None
    assert after is not None
    assert before <= clock <= after
