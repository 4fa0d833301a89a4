"""Memory of others: sums over all or none, and a bound on what a round costs."""

from __future__ import annotations

from pathlib import Path

import pytest

from agent.observed.scales import Scales
from agent.observed.seen import Seen
from agent.probes.base import Roots
from agent.process import ProcessView

KIB = 1024


def never() -> bool:
    return False


@pytest.fixture
def host(tmp_path: Path) -> Path:
    """Twelve processes of 10 KiB each, and a cgroup of 7 bytes."""
    for pid in range(1, 13):
        folder = tmp_path / "proc" / str(pid)
        folder.mkdir(parents=True)
        (folder / "smaps_rollup").write_text("Pss: 10 kB\n")
    (tmp_path / "group").mkdir()
    (tmp_path / "group/memory.current").write_text("7")
    return tmp_path


def seen(host: Path, *pids: int, grouped: bool = True, key: str = "") -> Seen:
    cgroups = {"unified": host / "group"} if grouped else {}
    return Seen(key or str(pids), "running", running=True, view=ProcessView(pids, cgroups))


def test_the_estimators_are_those_of_results(host: Path) -> None:
    scales = Scales(Roots(proc=host / "proc"))
    weight = scales.weigh([seen(host, 1, 2), seen(host, 3)], never)
    assert weight.bytes_by_estimator == {"pss": 30 * KIB, "cgroup": 14}
    assert weight.unread == 0


def test_an_estimator_that_one_cannot_give_is_left_out(host: Path) -> None:
    scales = Scales(Roots(proc=host / "proc"))
    weight = scales.weigh([seen(host, 1), seen(host, 2, grouped=False)], never)
    assert weight.bytes_by_estimator == {"pss": 20 * KIB}


def test_a_round_reads_so_many_processes_and_the_next_goes_on(host: Path) -> None:
    scales = Scales(Roots(proc=host / "proc"), most_processes=5)
    all_of_them = [seen(host, 2 * n + 1, 2 * n + 2, key=str(n)) for n in range(5)]
    weights = [scales.weigh(all_of_them, never) for _ in range(3)]
    assert [weight.unread for weight in weights] == [3, 1, 0]
    assert [weight.bytes_by_estimator.get("pss") for weight in weights] == [None, None, 100 * KIB]


def test_what_was_read_longest_ago_is_read_next(host: Path) -> None:
    scales = Scales(Roots(proc=host / "proc"), most_processes=1)
    both = [seen(host, 1, key="a"), seen(host, 2, key="b")]
    for _ in both:
        scales.weigh(both, never)
    (host / "proc/1/smaps_rollup").write_text("Pss: 90 kB\n")
    (host / "proc/2/smaps_rollup").write_text("Pss: 50 kB\n")
    assert scales.weigh(both, never).bytes_by_estimator["pss"] == 100 * KIB
    assert scales.weigh(both, never).bytes_by_estimator["pss"] == 140 * KIB


def test_one_that_is_larger_than_a_round_is_read_all_the_same(host: Path) -> None:
    scales = Scales(Roots(proc=host / "proc"), most_processes=2)
    assert scales.weigh([seen(host, 1, 2, 3)], never).bytes_by_estimator["pss"] == 30 * KIB


def test_told_to_stop_it_reads_no_further(host: Path) -> None:
    scales = Scales(Roots(proc=host / "proc"))
    answers = iter([False, True])
    weight = scales.weigh([seen(host, 1), seen(host, 2), seen(host, 3)], lambda: next(answers))
    assert weight.unread == 2


def test_what_is_gone_weighs_nothing_and_nothing_weighs_nothing(host: Path) -> None:
    scales = Scales(Roots(proc=host / "proc"))
    scales.weigh([seen(host, 1)], never)
    assert scales.weigh([], never).bytes_by_estimator == {"pss": 0, "cgroup": 0}
    ended = Seen("x", "exited", running=False)
    assert scales.weigh([ended], never).unread == 0
    not_found_yet = Seen("y", "running", running=True)
    assert scales.weigh([not_found_yet], never).unread == 1


def test_of_a_machine_the_overhead_beside_its_guest_is_read(host: Path) -> None:
    (host / "proc/1/smaps").write_text(
        "10000000-10400000 rw-p 00000000 00:00 0 \nPss: 3000 kB\n"
        "20000000-20100000 rw-p 00000000 00:00 0 \nPss: 64 kB\n"
    )
    view = ProcessView((1,), vmm_pid=1, guest_ram_bytes=4 << 20)
    weight = Scales(Roots(proc=host / "proc"), machines=True).weigh(
        [Seen("vm", "running", running=True, view=view)], never
    )
    assert weight.bytes_by_estimator == {"pss": 10 * KIB, "vmm_overhead": 64 * KIB}
