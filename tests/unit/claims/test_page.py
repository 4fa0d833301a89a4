"""The page of verdicts: readable alone, with the lesson's picture where there are two stacks."""

from __future__ import annotations

import re

import pytest

from collector.claims import Seen, judge
from collector.claims.page import render
from collector.reports.export import rows
from collector.reports.model import LayerRow
from collector.results import assemble
from tests.unit.claims.lesson import CONTAINER, FULL, GVISOR, MB, MICROVM, RUNC, seen
from tests.unit.reports.sample import sample_run


def test_the_page_has_the_verdicts_the_picture_and_the_rules() -> None:
    data = sample_run()
    run = Seen(assemble(data), [rows(row) for row in data.trials])
    page = render(judge([run]), [run.result])
    assert page.count('class="chip ') == len(judge([run]).claims)
    assert page.count("no guest OS") == 4  # wide and narrow, bytes and time
    assert "Supported if in mode warm, which decides" in page
    assert "Debian GNU/Linux 12 (bookworm), Linux 6.18.0" in page
    assert "<script" not in page
    assert 'src="' not in page


def test_without_stacks_there_is_no_picture() -> None:
    run = seen()
    page = render(judge([run]), [run.result])
    assert "What an instance stands on" not in page
    assert "inconclusive" in page


@pytest.mark.parametrize(
    ("compared", "order"),
    [
        (True, ["qemu-full (TCG)", "docker", "qemu-microvm (TCG)", "runc", "docker-runsc"]),
        (False, ["qemu-full (TCG)", "runc", "qemu-microvm (TCG)", "docker", "docker-runsc"]),
    ],
)
def test_the_two_stacks_of_the_lesson_come_first_side_by_side(
    compared: bool, order: list[str]
) -> None:
    result = assemble(sample_run())
    (host,) = result.hosts
    layers = [
        LayerRow(
            **{**whom.model_dump(), "host": host.host},
            layer="engine",
            bytes_per_instance=MB,
            bytes_reason=None,
            seconds=1.0,
            seconds_reason=None,
        )
        for whom in (RUNC, CONTAINER, GVISOR, MICROVM, FULL)
    ]
    given = {"layers": layers, **({} if compared else {"comparisons": []})}
    page = render(judge([seen()]), [result.model_copy(update=given)])
    assert re.findall(r'class="stack"[^>]*>([^<]+)<', page)[:5] == order
