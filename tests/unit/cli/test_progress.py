"""Progress in plain lines."""

from dataclasses import replace

import pytest

from collector.cli.progress import Lines, describe
from collector.views import HostProgress, Progress
from tonnage.model import RunState

HOST = HostProgress(
    host="h1",
    state=RunState.RUNNING,
    stage_id="startup",
    stages_done=0,
    stages_total=3,
    trials_done=4,
    trials_expected=76,
    ready=4,
    failed=0,
    instances=0,
    message="",
)


class Clock:
    """Seconds as told."""

    now = 0.0

    def __call__(self) -> float:
        return self.now


def shown(*hosts: HostProgress, every: float = 0.0) -> None:
    clock = Clock()
    lines = Lines(clock)
    for host in hosts:
        lines.show(Progress("r1", host.state, (host,)))
        clock.now += every


def test_a_line_tells_stage_and_trials() -> None:
    assert describe(HOST) == "h1 [1/3] startup, 4/76 trials"
    ramp = replace(HOST, stage_id="density/docker", stages_done=2, trials_expected=0, instances=16)
    assert describe(ramp) == "h1 [3/3] density/docker, 4 trials, 16 instances up"
    assert describe(replace(HOST, failed=2)).endswith("2 failed")
    pause = replace(HOST, stage_id="", trials_done=0, trials_expected=0)
    assert describe(pause) == "h1 [1/3] about to begin"
    assert describe(replace(pause, stages_done=1)) == "h1 [2/3] between stages"
    before = replace(HOST, state=RunState.PENDING, stage_id="", stages_total=0, trials_done=0)
    assert describe(replace(before, trials_expected=0)) == "h1 getting ready"


def test_a_stage_is_told_once(
    capsys: pytest.CaptureFixture[str],
) -> None:
    shown(HOST, replace(HOST, trials_done=5), replace(HOST, stages_done=1, stage_id="density"))
    assert capsys.readouterr().err.splitlines() == [
        "   0 s  h1 [1/3] startup, 4/76 trials",
        "   0 s  h1 [2/3] density, 4/76 trials",
    ]


def test_a_long_stage_is_told_every_few_seconds(capsys: pytest.CaptureFixture[str]) -> None:
    shown(*(replace(HOST, trials_done=n) for n in range(11)), every=1.0)
    assert capsys.readouterr().err.splitlines() == [
        "   0 s  h1 [1/3] startup, 0/76 trials",
        "   5 s  h1 [1/3] startup, 5/76 trials",
        "  10 s  h1 [1/3] startup, 10/76 trials",
    ]


def test_what_ended_a_host_is_left_to_the_end_of_the_run(
    capsys: pytest.CaptureFixture[str],
) -> None:
    shown(HOST, replace(HOST, state=RunState.FAILED, message="no such image"))
    told = capsys.readouterr().err
    assert "no such image" not in told
    assert told.endswith("h1 failed\n")


def test_a_message_is_told_once_and_the_end_too(capsys: pytest.CaptureFixture[str]) -> None:
    said = replace(HOST, message="host is noisy")
    shown(said, said, replace(said, state=RunState.FINISHED))
    captured = capsys.readouterr()
    assert captured.err.count("host is noisy") == 1
    assert captured.err.endswith("h1 finished\n")
    assert captured.out == ""
