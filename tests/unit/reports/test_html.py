"""The report as a file that stands alone and tells what it must."""

from __future__ import annotations

import re
import time
from dataclasses import replace
from html.parser import HTMLParser

import pytest

from collector.model import RunData
from collector.reports import export, html
from collector.reports.charts.svg import WIDE
from collector.reports.charts.waterfall import Fall, draw
from collector.results import assemble
from tests.unit.reports.sample import sample_run
from tonnage.model import RunState

VOID = {"meta", "br", "link", "img", "input", "hr"}


class Outline(HTMLParser):
    """Collects tags and attributes, and checks that tags nest."""

    def __init__(self) -> None:
        super().__init__()
        self.open: list[str] = []
        self.tags: list[str] = []
        self.references: list[str] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append(tag)
        self.references += [
            value or "" for key, value in attrs if key in ("src", "href", "xlink:href", "action")
        ]
        if tag not in VOID:
            self.open.append(tag)

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag


def page(data: RunData) -> str:
    return html.render(assemble(data), [export.rows(row) for row in data.trials])


@pytest.fixture(scope="module")
def report() -> str:
    return page(sample_run(("h1", "h2")))


def test_it_refers_to_nothing_outside_and_runs_nothing(report: str) -> None:
    outline = Outline()
    outline.feed(report)
    assert not outline.open
    assert not outline.references
    assert not {"script", "link", "img", "iframe", "object"} & set(outline.tags)
    assert not re.search(r"https?://|@import|url\(", report)


def test_it_holds_every_part(report: str) -> None:
    for title in (
        "What was found",
        "How fast instances start on h1",
        "Where the time of a start goes on h2",
        "How many fit on h1",
        "What one more instance costs on h2",
        "Every attempt on h1",
        "Every comparison",
        "How fast instances start, over all hosts",
        "The hosts and their conditions",
        "How to reproduce it",
    ):
        assert title in report, title


def test_verdicts_stand_before_everything_else(report: str) -> None:
    assert report.index("faster than <span") < report.index("<svg")


def test_what_comes_from_outside_is_escaped(report: str) -> None:
    assert "<script>" not in report
    assert "&lt;script&gt;alert" in report
    assert "&lt;no space left&gt;" in report
    assert "a&lt;b" in report


def test_each_drawing_says_what_it_shows(report: str) -> None:
    drawings = re.findall(r"<svg[^>]*>(.{7})", report)
    assert len(drawings) > 8
    assert set(drawings) == {"<title>"}
    assert report.count("<svg") == report.count('role="img"')


def test_a_phase_that_only_others_have_says_why_it_is_absent() -> None:
    server = Fall("server", 0, False, {"kernel": 1, "init": 4, "userspace": 1}, 6)
    microvm = Fall("microvm", 1, False, {"kernel": 1, "userspace": 1}, 2)
    container = Fall("container", 2, True, {"create": 1, "userspace": 1}, 2)
    drawn = draw([server, microvm, container], WIDE, "")
    assert drawn.count("not told apart: within user space") == 1
    assert drawn.count("none: no system starts first") == 1
    assert ">init<" in drawn
    assert ">init<" not in draw([microvm, container], WIDE, "")


def test_both_widths_and_both_schemes_are_there(report: str) -> None:
    assert report.count('class="wide"') == report.count('class="narrow"') > 0
    assert "prefers-color-scheme: dark" in report


def test_failures_keep_their_evidence(report: str) -> None:
    assert "not ready within 60 s; last line: Run /init as init process" in report.replace(
        "\xa0", " "
    )
    assert "clocksource: tsc-early" in report


def test_no_line_breaks_inside_a_name_or_between_a_number_and_its_unit() -> None:
    assert html.prose("<qemu-microvm> took 5 ms on a-very-long-host") == (
        '&lt;<span class="whole">qemu-microvm</span>&gt; took 5\xa0ms on a-very-long-host'
    )


def test_no_name_of_a_runtime_stands_where_it_may_break(report: str) -> None:
    loose = re.sub(
        r'<span class="whole">.*?</span>|<(svg|pre|code|details)\b.*?</\1>|="[^"]*"',
        "",
        report,
        flags=re.DOTALL,
    )
    assert "qemu-microvm" not in loose


@pytest.mark.parametrize("kept", [0, 5, 90])
def test_a_run_in_progress_has_a_report(kept: int) -> None:
    data = sample_run()
    run = replace(data.run, state=RunState.RUNNING, finished_at_unix_ns=None)
    so_far = replace(data, run=run, trials=data.trials[:kept], facts=data.facts[:kept:8])
    assert "The run is running" in page(so_far)


def test_a_result_without_its_trials_has_a_report() -> None:
    assert "What was found" in html.render(assemble(sample_run()), [])


def test_two_thousand_trials_are_drawn_in_seconds() -> None:
    data = sample_run(scale=13)
    assert len(data.trials) > 2000
    result = assemble(data)
    rows = [export.rows(row) for row in data.trials]
    begin = time.perf_counter()
    text = html.render(result, rows)
    assert time.perf_counter() - begin < 5
    assert len(text) < 1_500_000
