"""What is committed is what the code says."""

from __future__ import annotations

from pathlib import Path

import pytest

from collector.dashboards.__main__ import main
from collector.dashboards.writing import COMMAND, FOLDER, stale, write
from tests.unit.dashboards.written import files


def test_committed_dashboards_are_what_the_code_writes() -> None:
    found = stale(files(), FOLDER)
    assert found == [], f"stale: {', '.join(found)}; run `{COMMAND}`"


def test_there_is_a_dashboard_for_each_question() -> None:
    names = ("density", "footprint", "host", "overview", "run", "startup")
    assert sorted(files()) == [f"{name}.json" for name in names]


def test_what_is_stale_is_told_with_the_command_that_writes_it(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["--out", str(tmp_path)]) == 0
    assert main(["--check", "--out", str(tmp_path)]) == 0
    capsys.readouterr()
    (tmp_path / "host.json").write_text("{}\n")
    assert main(["--check", "--out", str(tmp_path)]) == 1
    assert capsys.readouterr().err == f"stale: host.json; run `{COMMAND}`\n"


def test_a_dashboard_that_is_no_more_is_removed(tmp_path: Path) -> None:
    write(files(), tmp_path)
    (tmp_path / "old.json").write_text("{}\n")
    assert stale(files(), tmp_path) == ["old.json"]
    assert write(files(), tmp_path) == ["old.json"]
    assert sorted(path.name for path in tmp_path.iterdir()) == sorted(files())
