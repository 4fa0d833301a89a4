"""What a server logs, for programs that read it."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

import pytest
import structlog

from tonnage.logs import log_to_stderr


@pytest.fixture(autouse=True)
def as_before() -> Iterator[None]:
    yield
    structlog.reset_defaults()


def test_off_a_terminal_each_event_is_one_line_of_json(capsys: pytest.CaptureFixture[str]) -> None:
    log_to_stderr("info")
    log = structlog.get_logger()
    log.debug("too fine")
    try:
        int("one\ntwo")
    except ValueError:
        log.exception("failed", path=Path("/a"))
    (line,) = capsys.readouterr().err.splitlines()
    told = json.loads(line)
    assert (told["event"], told["level"], told["path"]) == ("failed", "error", "/a")
    assert "ValueError: invalid literal" in told["exception"]
    assert told["timestamp"].endswith("Z")
