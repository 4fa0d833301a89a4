"""``tonnage store copy``, as it is typed."""

from __future__ import annotations

import asyncio
import io
import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from collector.errors import InvalidInput
from collector.store_copy import Display, copy
from collector.stores.open import open_store
from tests.runs_made_up import host_run, run, whole_run

ROOT = Path(__file__).parents[2]


def typed(*words: str, **environment: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "collector.cli", "store", "copy", *words],
        cwd=ROOT,
        env={**os.environ, **environment},
        capture_output=True,
        text=True,
        timeout=30,
    )


@pytest.fixture
def place(tmp_path: Path) -> str:
    """A store with a run of 20 trials."""

    async def fill() -> None:
        store = await open_store(str(tmp_path / "old"))
        await store.create_run(run(), [host_run()])
        await store.append("r1", "h1", whole_run(20))
        await store.close()

    asyncio.run(fill())
    return str(tmp_path / "old")


def test_a_history_is_moved_into_postgresql_by_one_command(place: str, postgres_url: str) -> None:
    done = typed(place, postgres_url, "--output", "json")
    assert done.returncode == 0, done.stderr
    told = {each["table"]: each for each in json.loads(done.stdout)["tables"]}
    assert (told["run"]["rows"], told["trial"]["rows"]) == (1, 20)
    assert all(len(each["sha256"]) == 64 for each in told.values())
    again = typed(place, postgres_url)
    assert (again.returncode, again.stdout) == (2, "")
    assert "destination: there is a history already" in again.stderr
    assert "Name a folder or database that has no store" in again.stderr


def test_a_password_is_not_told_when_it_fails(place: str) -> None:
    failed = typed(place, "postgresql://u:hidden-word@127.0.0.1:1/x")
    assert failed.returncode == 1
    assert "hidden-word" not in failed.stderr
    assert "127.0.0.1:1" in failed.stderr


def test_a_store_is_not_copied_onto_itself(place: str) -> None:
    with pytest.raises(InvalidInput, match="is the source itself"):
        copy(place, place, "table")


class _Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


def test_progress_is_for_terminals_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    for stream, shown in ((_Terminal(), True), (io.StringIO(), False)):
        monkeypatch.setattr(sys, "stderr", stream)
        display = Display()
        display("copying", "trial", 1_234_567)
        display.end()
        assert ("copying trial: 1,234,567 rows" in stream.getvalue()) is shown
        assert stream.getvalue().endswith("\x1b[K") is shown
