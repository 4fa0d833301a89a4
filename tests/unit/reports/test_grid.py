"""Tables that fit."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from collector.reports.grid import Column, Grid

GRID = Grid(
    "Title",
    (Column("name"), Column("kept", right=True), Column("spare", right=True, spare=1)),
    (("qemu-microvm (TCG)", "1.00 s", "2"), ("docker", "72.0 ms", "60")),
)


def test_with_room_everything_lines_up() -> None:
    assert GRID.lines() == [
        "Title",
        "name                   kept  spare",
        "──────────────────────────────────",
        "qemu-microvm (TCG)   1.00 s      2",
        "docker              72.0 ms     60",
    ]


def test_what_is_spare_goes_first_and_it_is_said() -> None:
    lines = GRID.lines(28)
    assert lines[1] == "name                   kept"
    assert lines[-1] == "(no room for spare)"


def test_then_names_fold_between_words() -> None:
    assert GRID.lines(20)[3:6] == ["qemu-microvm  1.00 s", "(TCG)", "docker       72.0 ms"]


@given(st.integers(1, 60))
def test_no_width_breaks_a_word(width: int) -> None:
    words = {word for line in GRID.lines(width) for word in line.split()}
    assert {"qemu-microvm", "(TCG)", "docker", "72.0", "1.00"} <= words
