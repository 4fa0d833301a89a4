"""A service tells whoever started it that it serves, once, and nobody else."""

from __future__ import annotations

import os
import socket
from pathlib import Path

import pytest

from tonnage.systemd import report_ready


@pytest.mark.parametrize("abstract", [False, True])
def test_who_started_it_is_told_once(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, abstract: bool
) -> None:
    name = f"{tmp_path}/notify"
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as manager:
        manager.bind(f"\0{name}" if abstract else name)
        manager.setblocking(False)
        monkeypatch.setenv("NOTIFY_SOCKET", f"@{name}" if abstract else name)
        report_ready()
        assert manager.recv(100) == b"READY=1"
        assert "NOTIFY_SOCKET" not in os.environ
        report_ready()
        with pytest.raises(BlockingIOError):
            manager.recv(100)


def test_a_manager_that_is_gone_stops_nobody(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("NOTIFY_SOCKET", str(tmp_path / "gone"))
    report_ready()
    assert "NOTIFY_SOCKET" not in os.environ
