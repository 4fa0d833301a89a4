"""Whose turn it is on which host."""

from __future__ import annotations

from collections import defaultdict

from hypothesis import given, settings
from hypothesis import strategies as st

from collector.conductor.queue import Place, Queue

HOSTS = ("h1", "h2", "h3", "h4")


def test_a_run_begins_on_all_of_its_hosts_at_once() -> None:
    queue = Queue()
    assert queue.enter("r1", ["h1", "h2"]) == (("r1", "h1"), ("r1", "h2"))


def test_a_run_waits_until_it_is_first_on_every_host() -> None:
    queue = Queue()
    queue.enter("r1", ["h1"])
    queue.enter("r2", ["h2"])
    assert queue.enter("r3", ["h1", "h2"]) == ()
    assert queue.before("r3") == ("r1", "r2")
    assert queue.leave("r1", "h1") == ()
    assert queue.before("r3") == ("r2",)
    assert queue.leave("r2", "h2") == (("r3", "h1"), ("r3", "h2"))
    assert queue.before("r3") == ()


def test_a_later_run_does_not_pass_one_that_waits_on_a_free_host() -> None:
    queue = Queue()
    queue.enter("r1", ["h1"])
    queue.enter("r2", ["h1", "h2"])
    assert queue.enter("r3", ["h2"]) == ()
    assert (queue.before("r3"), queue.waiting("h2")) == (("r2",), ["r2", "r3"])


def test_a_host_that_is_done_early_is_free_for_the_next_run() -> None:
    queue = Queue()
    queue.enter("r1", ["h1", "h2"])
    queue.enter("r2", ["h1"])
    assert queue.leave("r1", "h1") == (("r2", "h1"),)


def test_a_run_that_is_cancelled_while_it_waits_leaves_at_once() -> None:
    queue = Queue()
    queue.enter("r1", ["h1"])
    queue.enter("r2", ["h1", "h2"])
    queue.enter("r3", ["h2"])
    assert queue.leave("r2", "h2") == (("r3", "h2"),)
    assert queue.leave("r2", "h1") == ()
    assert queue.leave("r1", "h1") == ()
    assert queue.enter("r4", ["h1"]) == (("r4", "h1"),)


def test_a_run_that_gives_up_its_busy_host_begins_on_the_rest() -> None:
    queue = Queue()
    queue.enter("r1", ["h1"])
    queue.enter("r2", ["h1", "h2"])
    assert queue.leave("r2", "h1") == (("r2", "h2"),)


def test_a_host_at_work_on_a_run_goes_on_and_keeps_others_off() -> None:
    queue = Queue()
    queue.enter("r2", ["h2"])
    queue.enter("r3", ["h1", "h2"])
    assert queue.attach("r1", "h1") == (("r1", "h1"),)
    assert queue.attach("r1", "h1") == ()
    assert queue.leave("r2", "h2") == ()
    assert queue.before("r3") == ("r1",)
    assert queue.leave("r1", "h1") == (("r3", "h1"), ("r3", "h2"))


def test_a_waiting_run_that_is_found_at_work_goes_on_there_alone() -> None:
    queue = Queue()
    queue.enter("r1", ["h1"])
    queue.enter("r2", ["h1", "h2"])
    assert queue.attach("r2", "h1") == (("r2", "h1"), ("r2", "h2"))
    assert queue.leave("r2", "h1") == ()


class Model:
    """Plays any order of calls, and checks after each what must hold always."""

    def __init__(self) -> None:
        self.queue = Queue()
        self.hosts: dict[str, set[str]] = {}
        self.working: defaultdict[str, set[str]] = defaultdict(set)
        self.attached: set[Place] = set()

    def submit(self, hosts: set[str]) -> None:
        run_id = f"r{len(self.hosts) + 1}"
        self.hosts[run_id] = set(hosts)
        self.began(self.queue.enter(run_id, hosts))

    def attach(self, run_id: str, host: str) -> None:
        if host not in self.hosts[run_id]:
            return
        if run_id not in self.working[host]:
            self.attached.add((run_id, host))
        self.began(self.queue.attach(run_id, host))

    def leave(self, run_id: str, host: str) -> None:
        self.hosts[run_id].discard(host)
        self.working[host].discard(run_id)
        self.attached.discard((run_id, host))
        self.began(self.queue.leave(run_id, host))

    def began(self, places: object) -> None:
        assert isinstance(places, tuple)
        for run_id, host in places:
            if (run_id, host) not in self.attached:
                assert not self.working[host], "two runs overlap on one host"
            assert host in self.hosts[run_id], "a run begins where it is not"
            assert run_id not in self.working[host], "a run begins twice"
            self.working[host].add(run_id)

    def drain(self) -> None:
        """Whatever works ends; were there a deadlock, something would be left that does not."""
        while any(self.working.values()):
            host = next(host for host, runs in self.working.items() if runs)
            self.leave(min(self.working[host]), host)


HOST_SETS = st.sets(st.sampled_from(HOSTS), min_size=1)
STEPS = st.one_of(
    st.tuples(st.just("submit"), HOST_SETS),
    st.tuples(st.sampled_from(["leave", "attach"]), st.integers(0, 30), st.sampled_from(HOSTS)),
)


@settings(max_examples=400, deadline=None)
@given(st.lists(STEPS, max_size=40))
def test_runs_never_overlap_and_never_lock_each_other_out(steps: list[tuple[object, ...]]) -> None:
    model = Model()
    for step in steps:
        match step:
            case ("submit", set() as hosts):
                model.submit(hosts)
            case (str() as act, int() as number, str() as host) if model.hosts:
                run_id = f"r{number % len(model.hosts) + 1}"
                getattr(model, act)(run_id, host)
            case _:
                pass
    model.drain()
    assert not any(model.hosts.values()), "a run waits though every host is free"


@settings(max_examples=200, deadline=None)
@given(st.lists(HOST_SETS, min_size=2, max_size=12))
def test_turns_come_in_the_order_of_submission(runs: list[set[str]]) -> None:
    queue, order = Queue(), defaultdict[str, list[str]](list)
    places: list[Place] = []
    for number, hosts in enumerate(runs):
        places += queue.enter(f"{number:02}", hosts)
    while places:
        run_id, host = places.pop(0)
        order[host].append(run_id)
        places += queue.leave(run_id, host)
    assert all(line == sorted(line) for line in order.values())
    assert sum(map(len, order.values())) == sum(map(len, runs))
