"""What the rows of a run tell about it, and which rows a death left unwritten."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from agent.experiments.base import Launch
from agent.runner.past import Past, missing_rows
from agent.runner.preparing import changed_images
from agent.runtimes.base import Prepared
from tests.unit.experiments.shell import trial_of
from tonnage.model import (
    LogReadiness,
    Outcome,
    Payload,
    Population,
    RunResumed,
    StageFinished,
    StageStarted,
    Trial,
    TrialEnd,
    Workload,
)

RESUMED = RunResumed(1, rebooted=False, reason="the agent died")


def row(number: int, outcome: Outcome = Outcome.READY, attempt: int = 1, digest: str = "") -> Trial:
    order = Launch(f"s/{number}", "a", Population.MEASURED, number)
    return replace(trial_of(order, outcome), attempt=attempt, image_digest=digest)


def test_every_attempt_gets_its_row_and_every_row_its_end() -> None:
    ready, failed, cut = row(0), row(1, Outcome.FAILED), row(2, Outcome.INTERRUPTED)
    done, end = row(3), TrialEnd("s/3", 1)
    missing = missing_rows([ready, failed, done, end], [ready, cut], lambda trial: trial.trial_id)
    assert missing == [
        cut,
        TrialEnd("s/0", 1, error="s/0", interrupted=True),
        TrialEnd("s/1", 1, error="s/1"),
        TrialEnd("s/2", 1, error="s/2", interrupted=True),
    ]


def test_what_was_written_is_not_written_again_wherever_it_was_cut() -> None:
    rows: list[Payload] = [row(0), row(1, Outcome.FAILED)]
    launched = [row(0), row(2, Outcome.INTERRUPTED), row(3, Outcome.INTERRUPTED)]
    whole = missing_rows(rows, launched, lambda _: "gone")
    for cut in range(len(whole) + 1):
        rest = missing_rows([*rows, *whole[:cut]], launched, lambda _: "gone")
        assert sorted(map(repr, [*whole[:cut], *rest])) == sorted(map(repr, whole))


def test_a_further_attempt_is_a_row_of_its_own() -> None:
    first, end, second = row(0, Outcome.INTERRUPTED), TrialEnd("s/0", 1), row(0, attempt=2)
    (missing,) = missing_rows([first, end, second], [], lambda _: "gone")
    assert (missing.trial_id, missing.attempt) == ("s/0", 2)
    assert Past([first, end, second]).attempts == {"s/0": 2}


@pytest.mark.parametrize(
    ("rows", "count"),
    [
        ([], 0),
        ([RESUMED, RESUMED], 2),
        ([row(0), RESUMED, RESUMED], 2),
        ([RESUMED, row(0), RESUMED], 1),
        ([RESUMED, row(0, Outcome.INTERRUPTED), RESUMED], 2),
        ([row(0), RESUMED, row(0, attempt=2), RESUMED], 2),  # a fill launched again is no news
        ([RESUMED, StageFinished("s"), RESUMED], 1),
    ],
)
def test_resumptions_without_anything_new_are_counted(rows: list[Payload], count: int) -> None:
    assert Past(rows).fruitless_resumptions() == count


def test_stages_are_open_until_they_end() -> None:
    past = Past([StageStarted("a", 1), StageFinished("a"), StageStarted("b", 1), row(0)])
    assert past.open_stages() == ["b"]
    assert past.rows_of("b") == (row(0),)
    assert (past.begun("b"), past.begun("c")) == (True, False)


def test_an_image_that_changed_meanwhile_is_told_and_one_that_did_not_is_not() -> None:
    workload = Workload("idle", "image", LogReadiness("READY"))
    past = Past([row(0, digest="sha256:old")])
    (notice,) = changed_images(past, {"a": Prepared(workload, "sha256:new", (Path("x"),))})
    assert "sha256:old" in notice.message
    assert "sha256:new" in notice.message
    assert changed_images(past, {"a": Prepared(workload, "sha256:old")}) == []
    assert changed_images(Past(), {"a": Prepared(workload, "sha256:new")}) == []
