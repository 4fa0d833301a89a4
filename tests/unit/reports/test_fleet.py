"""Reports of several hosts: merged first, and still legible with a hundred."""

from __future__ import annotations

import re
from dataclasses import replace

import pytest
from rich.cells import cell_len

from collector.model import RunData
from collector.reports import export, html, table
from collector.reports.by_host import lines
from collector.reports.charts import strip
from collector.reports.differences import differences
from collector.reports.figures import seconds
from collector.reports.model import Result
from collector.reports.names import Names, some_of
from collector.reports.sentences import sentences
from collector.results import assemble
from tests.unit.reports.sample import sample_fleet, sample_run
from tests.unit.reports.test_html import Outline


def page(data: RunData, result: Result) -> str:
    return html.render(result, [export.rows(row) for row in data.trials])


@pytest.fixture(scope="module")
def three() -> tuple[RunData, Result]:
    data = sample_fleet(3)
    return data, assemble(data)


@pytest.fixture(scope="module")
def many() -> tuple[RunData, Result]:
    data = sample_fleet(30)
    return data, assemble(data)


def test_what_holds_over_all_hosts_is_said_first(three: tuple[RunData, Result]) -> None:
    told = [sentence.text for sentence in sentences(three[1])]
    assert told[0].startswith("On each of 3 hosts, qemu-microvm (TCG) starts slower than docker.")
    assert any(text.startswith("On host h01, docker starts") for text in told)
    assert "2 hosts carry 680 docker instances in all, 340 each." in told


def test_of_many_hosts_only_what_holds_over_all_is_said(many: tuple[RunData, Result]) -> None:
    told = [sentence.text for sentence in sentences(many[1])]
    assert re.match(r"Over 29 hosts, docker starts [\d.]+× faster than qemu-microvm", told[0])
    assert "Each host alone says the same" in told[0]
    assert not any("host h" in text.lower() for text in told)


def test_a_host_with_too_few_starts_leaves_open_what_the_others_say() -> None:
    data = sample_run(("h1", "h2", "h3"))
    swapped = [
        replace(row, trial=replace(row.trial, ready_ns=None, accepted_ns=None, created_ns=None))
        if row.host == "h3" and row.target.id == "docker" and row.trial.number > 2
        else row
        for row in data.trials
    ]
    told = [s.text for s in sentences(assemble(replace(data, trials=tuple(swapped))))]
    assert told[0].startswith("On 2 of 3 hosts, qemu-microvm (TCG) starts slower than docker; on")


def on_hosts(verdicts: dict[str, int], three: Result) -> str:
    """What is said first of a comparison that so many hosts found so."""
    assert three.merged is not None
    row = three.merged.comparisons[0]
    row = row.model_copy(update={"hosts": sum(verdicts.values()), "host_verdicts": verdicts})
    merged = three.merged.model_copy(update={"comparisons": [row]})
    return sentences(three.model_copy(update={"merged": merged}))[0].text


@pytest.mark.parametrize(
    ("verdicts", "told"),
    [
        ({"slower": 1}, "On the one host that measured both, qemu-microvm (TCG) starts slower"),
        ({"slower": 3}, "On each of 3 hosts, qemu-microvm (TCG) starts slower than docker."),
        ({"inconclusive": 3}, "On each of 3 hosts, it stays open whether docker or"),
        (
            {"slower": 2, "inconclusive": 1},
            "On 2 of 3 hosts, qemu-microvm (TCG) starts slower than docker; on the rest it stays",
        ),
        (
            {"slower": 2, "no difference": 1},
            "The hosts do not agree how qemu-microvm (TCG) compares with docker (start). Slower",
        ),
    ],
)
def test_of_few_hosts_it_is_said_on_how_many(
    verdicts: dict[str, int], told: str, three: tuple[RunData, Result]
) -> None:
    assert on_hosts(verdicts, three[1]).startswith(told)


def test_ramps_cut_short_are_counted(three: tuple[RunData, Result]) -> None:
    assert three[1].merged is not None
    row = three[1].merged.density[0].model_copy(update={"hosts": 2, "hosts_at_least": 2})
    for short, told in ((2, "On all of them the ramp"), (1, "On 1 of them the ramp")):
        one = row.model_copy(update={"hosts_at_least": short})
        merged = three[1].merged.model_copy(update={"density": [one]})
        found = sentences(three[1].model_copy(update={"merged": merged}))
        assert any(told in sentence.evidence for sentence in found)


def test_one_host_that_was_filled_is_not_called_several(three: tuple[RunData, Result]) -> None:
    data = sample_fleet(3)
    facts = tuple(fact for fact in data.facts if fact.host == "h01")
    told = [s.text for s in sentences(assemble(replace(data, facts=facts)))]
    assert "The one host that was filled carries 340 docker instances." in told


def test_the_head_says_how_many_hosts_came_to_the_end(three: tuple[RunData, Result]) -> None:
    text = table.text(three[1], 100)
    assert "2 of 3 hosts finished, hosts began within 12.3 ms of each other" in text
    assert "h03: lost: not heard of for 120 s." in text
    shown = page(*three).replace("\xa0", " ")
    assert "2 of 3 hosts finished" in shown
    assert "hosts began within 12.3 ms of each other" in shown
    assert "2 of 3 hosts came to the end" in shown
    assert "lost: not heard of for 120 s" in shown


def test_a_run_on_one_host_says_nothing_of_hosts_together() -> None:
    data = sample_run()
    result = assemble(data)
    assert "all hosts" not in table.text(result, 100)
    assert "all hosts" not in page(data, result)
    assert "hosts finished" not in table.text(result, 100)


def test_tables_of_many_hosts_keep_their_width(many: tuple[RunData, Result]) -> None:
    for width in (80, 120):
        text = table.text(many[1], width)
        assert max(map(cell_len, text.splitlines())) <= width
        assert "p50" in text


def test_every_host_of_many_is_one_line_sorted_by_its_start(many: tuple[RunData, Result]) -> None:
    text = table.text(many[1])
    begin = text.index("By host, the fastest first")
    rows = re.findall(r"^(h\d\d) .*$", text[begin:], re.MULTILINE)
    assert len(set(rows)) == 30
    assert rows[-2:] == ["h02", "h29"]  # the slow one, and the one that measured nothing
    found = lines(many[1], Names(many[1]))
    medians = [line.cells[0].start.p50_seconds for line in found if line.cells[0].start]
    assert medians == sorted(medians, key=lambda each: each or 0)


def test_a_page_of_many_hosts_has_no_chart_a_host(many: tuple[RunData, Result]) -> None:
    shown = page(*many)
    assert shown.count("<svg") < 20
    assert len(shown) < 1_500_000
    assert "How fast instances start on h" not in shown
    assert "Host by host" in shown
    outline = Outline()
    outline.feed(shown)
    assert not outline.open
    assert not outline.references


def test_attempts_of_many_hosts_are_counted_together(many: tuple[RunData, Result]) -> None:
    shown = page(*many)
    assert shown.count("<h2>Every attempt") == 1
    assert "fill, launched again" in shown
    assert "more are in the export" in shown


def test_facts_are_told_by_what_differs(three: tuple[RunData, Result]) -> None:
    found = differences(assemble(sample_fleet(9)))
    assert found.columns == ["kernel"]
    assert found.rows == [
        ("h01, h02, h03, h05, h06 and 2 more", 7, ["6.18.0"]),
        ("h04 and h08", 2, ["6.1.0-41-amd64"]),
    ]
    assert ("docker: runc", "1.1.5") in found.same
    assert differences(three[1]).columns == []


def test_a_strip_shows_every_host_and_names_those_that_stand_apart() -> None:
    hosts = [(f"h{n:03}", 0.2 + n / 1000, (0.19, 0.31)) for n in range(100)]
    lane = strip.Lane("docker", 0, hosts, 0.25, (0.24, 0.26), ["h099"])
    drawn = strip.draw([lane], 920, "Median start", seconds, seconds, "start")
    assert drawn.count("<circle") == 100
    assert ">h099<" in drawn
    assert ">h050<" not in drawn
    assert "250 ms over 100 hosts" in drawn


@pytest.mark.parametrize(
    ("hosts", "told"),
    [
        ([], ""),
        (["a"], "a"),
        (["a", "b"], "a and b"),
        (list("abcdef"), "a, b, c, d, e and f"),
        (list("abcdefg"), "a, b, c, d, e and 2 more"),
    ],
)
def test_many_names_are_cut_short(hosts: list[str], told: str) -> None:
    assert some_of(hosts) == told
