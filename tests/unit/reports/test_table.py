"""Tables that line up, on a terminal and in a file."""

from __future__ import annotations

import io
from dataclasses import replace

from rich.cells import cell_len
from rich.console import Console

from collector.reports import table
from collector.reports.sentences import sentences
from collector.results import assemble
from tests.unit.reports.sample import sample_run


def test_columns_line_up() -> None:
    lines = table.text(assemble(sample_run()), width=140).splitlines()
    start = next(i for i, line in enumerate(lines) if line.startswith("Start, request"))
    head, rows = lines[start + 1], lines[start + 3 : start + 7]
    for name in ("ready", "p50", "max"):
        end = head.index(name) + len(name)
        assert all(row[end - 1] != " " for row in rows), name
        assert all(row[end : end + 1] in ("", " ") for row in rows), name


def test_plain_text_has_no_escapes_and_keeps_its_width() -> None:
    for width in (80, 100, 120):
        text = table.text(assemble(sample_run(("h1", "h2"))), width=width)
        assert "\x1b" not in text
        assert max(map(cell_len, text.splitlines())) <= width


def test_no_line_ends_in_a_blank() -> None:
    for width in (None, 60, 80, 120):
        lines = table.text(assemble(sample_run()), width=width).splitlines()
        assert all(line == line.rstrip() for line in lines)


def test_without_a_terminal_a_sentence_is_one_line_and_no_column_is_left_out() -> None:
    text = table.text(assemble(sample_run()))
    assert all(sentence.text in text for sentence in sentences(assemble(sample_run())))
    assert "no room" not in text


def test_a_terminal_gets_colours() -> None:
    out = io.StringIO()
    Console(file=out, width=120, force_terminal=True, color_system="truecolor").print(
        table.render(assemble(sample_run()), 120)
    )
    assert "\x1b[" in out.getvalue()


def test_the_host_is_a_column_only_where_there_are_several() -> None:
    one, two = (table.text(assemble(sample_run(hosts))) for hosts in (("h1",), ("h1", "h2")))
    assert "\nsubject" in one
    assert "\nhost  subject" in two


def test_a_run_that_measured_nothing_shows_no_empty_tables() -> None:
    data = sample_run()
    text = table.text(assemble(replace(data, trials=(), facts=())))
    assert "Start, request to ready" not in text
    assert "stays open" not in text


def test_verdicts_come_first_and_warnings_last() -> None:
    text = table.text(assemble(sample_run()))
    assert text.index("starts 9.3× faster") < text.index("Start, request to ready")
    assert text.index("say nothing of KVM") > text.index("Ratios, qemu-microvm (TCG) / docker")


def test_names_from_outside_are_no_markup() -> None:
    result = assemble(sample_run(("h1", "h2")))
    rows = [row.model_copy(update={"host": "[red]h1"}) for row in result.startup]
    assert "[red]h1" in table.text(result.model_copy(update={"startup": rows}), width=160)


def test_every_layer_with_a_figure_is_a_row() -> None:
    lines = table.text(assemble(sample_run())).splitlines()
    begin = next(n for n, line in enumerate(lines) if line.startswith("What one more instance"))
    shown = [line.split() for line in lines[begin + 3 : begin + 13]]
    assert ["docker", "libraries", "310", "kB", "–"] in shown
    assert any({"hypervisor", "31.0", "529"} <= set(row) for row in shown)
    assert not any("hardware" in row for row in shown)
