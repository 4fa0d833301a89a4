"""Tables that line up, on a terminal and in a file."""

from __future__ import annotations

import io

from rich.cells import cell_len
from rich.console import Console

from collector.reports import table
from collector.results import assemble
from tests.unit.reports.sample import sample_run


def test_columns_line_up() -> None:
    lines = table.text(assemble(sample_run()), width=140).splitlines()
    start = next(i for i, line in enumerate(lines) if line.startswith("Start, request"))
    head, rows = lines[start + 2], lines[start + 4 : start + 8]
    for name in ("ready", "p50", "max"):
        end = head.index(name) + len(name)
        assert all(row[end - 1] != " " for row in rows), name
        assert all(row[end : end + 1] in ("", " ") for row in rows), name


def test_plain_text_has_no_escapes_and_keeps_its_width() -> None:
    for width in (80, 100, 120):
        text = table.text(assemble(sample_run(("h1", "h2"))), width=width)
        assert "\x1b" not in text
        assert max(map(cell_len, text.splitlines())) <= width


def test_a_terminal_gets_colours() -> None:
    out = io.StringIO()
    Console(file=out, width=120, force_terminal=True, color_system="truecolor").print(
        table.render(assemble(sample_run()))
    )
    assert "\x1b[" in out.getvalue()


def test_verdicts_come_first_and_warnings_last() -> None:
    text = table.text(assemble(sample_run()))
    assert text.index("starts 9.3× faster") < text.index("Start, request to ready")
    assert text.index("say nothing of KVM") > text.index("Ratios, candidate / baseline")


def test_names_from_outside_are_no_markup() -> None:
    result = assemble(sample_run())
    rows = [row.model_copy(update={"host": "[red]h1"}) for row in result.startup]
    assert "[red]h1" in table.text(result.model_copy(update={"startup": rows}), width=160)
