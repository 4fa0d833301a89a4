"""The text of a screen, out of what draws it."""

from __future__ import annotations

import pytest

from agent.runtimes.qemu.screen import Screen

# As memtest86+ begins.
DRAWN = (
    b"\x1b[2J\x1b[?25l\x1b[1;1H\x1b[7m  Memtest86+ v6.10 \x1b[0m| QEMU"
    b"\x1b[2;1HCLK: 3126MHz\x1b[2;20H| Pass"
)
SHOWN = b"\n\n  Memtest86+ v6.10 | QEMU\nCLK: 3126MHz| Pass"


def test_what_is_drawn_is_text_in_lines() -> None:
    assert Screen().text(DRAWN) == SHOWN


@pytest.mark.parametrize("size", [1, 2, 3, 7])
def test_chunks_may_end_anywhere(size: int) -> None:
    screen = Screen()
    chunks = [DRAWN[at : at + size] for at in range(0, len(DRAWN), size)]
    assert b"".join(screen.text(chunk) for chunk in chunks) == SHOWN


def test_plain_text_stays_as_it_is() -> None:
    assert Screen().text(b"Linux version 6\r\n[ok]\n") == b"Linux version 6\r\n[ok]\n"


def test_what_never_becomes_a_sequence_is_shown() -> None:
    endless = b"\x1b[" + b"1;" * 100
    screen = Screen()
    assert screen.text(endless) == endless
    assert screen.text(b"after") == b"after"
