"""Errors as a person meets them: one sentence, the way out, the right exit code."""

import pytest

from collector import errors
from collector.cli.main import guarded
from collector.problems import error_of
from tonnage.model import Problem, ProblemKind


def raising(error: BaseException) -> int:
    def run() -> None:
        raise error

    return guarded(run)


@pytest.mark.parametrize(
    ("error", "code"),
    [
        (errors.InvalidInput("is wrong"), 2),
        (errors.StoreTooNew("is newer"), 2),
        (errors.Unreachable("is down"), 1),
        (errors.InstancesLeaked("stayed"), 6),
        (KeyboardInterrupt(), 130),
        (SystemExit(5), 5),
        (RuntimeError("a defect"), 1),
    ],
)
def test_every_error_has_its_exit_code(error: BaseException, code: int) -> None:
    assert raising(error) == code


def test_an_error_names_field_value_and_way_out(capsys: pytest.CaptureFixture[str]) -> None:
    raising(errors.InvalidInput("not a size", field="memory", value="1MB", remedy="Write 1MiB."))
    shown = capsys.readouterr()
    assert shown.err == "error: memory: not a size (got '1MB')\n  Write 1MiB.\n"
    assert shown.out == ""


def test_what_was_seen_of_a_launch_is_shown_below_its_error(
    capsys: pytest.CaptureFixture[str],
) -> None:
    seen = "\n".join([*(f"line {n}" for n in range(20)), "\x1b[2Jlast words"])
    raising(error_of(Problem(ProblemKind.LAUNCH_FAILED, "it failed", evidence=seen)))
    told = capsys.readouterr().err.splitlines()
    assert told[:3] == ["error: it failed", "last seen of the instance:", "  | line 9"]
    assert told[-1] == "  | [2Jlast words"


def test_a_defect_shows_no_traceback_unless_asked(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("TONNAGE_DEBUG", raising=False)
    raising(RuntimeError("a defect"))
    assert "Traceback" not in capsys.readouterr().err
    monkeypatch.setenv("TONNAGE_DEBUG", "1")
    raising(RuntimeError("a defect"))
    assert "Traceback" in capsys.readouterr().err
