"""Other programs' memory: whose counts, and what is said where it cannot be told."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from agent import process
from agent.probes.base import NoData, Reading, Roots
from agent.probes.foreign import ForeignMemory
from agent.probes.memory import PAGE_BYTES

MIB = 1024 * 1024


@pytest.fixture
def host(tmp_path: Path) -> Path:
    """Init with 40 anonymous pages, a program with 1000, a kernel thread with none."""
    for pid, statm in {1: "900 50 10", 20: "9000 1500 500", 30: "0 0 0"}.items():
        (tmp_path / str(pid)).mkdir()
        (tmp_path / str(pid) / "statm").write_text(f"{statm} 0 0 0 0\n")
    return tmp_path


def test_everybody_but_us_is_summed_without_shared_pages(host: Path) -> None:
    assert ForeignMemory(Roots(proc=host)).read([]) == Reading({"foreign_bytes": 1040 * PAGE_BYTES})


def test_ours_do_not_count(host: Path) -> None:
    found = ForeignMemory(Roots(proc=host)).read([20, 20, 777])
    assert found == Reading({"foreign_bytes": 40 * PAGE_BYTES})


def test_where_init_is_hidden_others_may_be_too(host: Path) -> None:
    (host / "1").rename(host / "self")
    found = ForeignMemory(Roots(proc=host)).read([])
    assert isinstance(found, NoData)
    assert "hidden" in found.reason


@pytest.mark.parametrize("statm", ["", "900 50", "900 fifty 10"])
def test_a_file_not_as_documented_is_no_data(host: Path, statm: str) -> None:
    (host / "20" / "statm").write_text(statm)
    assert isinstance(ForeignMemory(Roots(proc=host)).read([]), NoData)


def test_a_process_that_does_not_show_its_memory_is_no_data(host: Path) -> None:
    (host / "20" / "statm").unlink()
    assert isinstance(ForeignMemory(Roots(proc=host)).read([]), NoData)


def test_memory_of_a_live_process_is_seen_and_is_not_foreign_once_it_is_ours() -> None:
    program = f"import sys; held = bytearray({64 * MIB}); print(flush=True); sys.stdin.read()"
    pipe = subprocess.PIPE
    with subprocess.Popen([sys.executable, "-c", program], stdin=pipe, stdout=pipe) as child:
        assert child.stdout is not None
        child.stdout.readline()
        probe = ForeignMemory(Roots())
        everybody = [pid for pid in process.pids() if pid != child.pid]
        seen = probe.read(everybody)
        unseen = probe.read([*everybody, child.pid])
    assert isinstance(seen, Reading)
    assert isinstance(unseen, Reading)
    # Processes that began meanwhile are in both.
    assert seen.values["foreign_bytes"] >= 64 * MIB
    assert unseen.values["foreign_bytes"] < 64 * MIB
