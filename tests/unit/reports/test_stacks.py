"""The lesson's picture: to scale, readable, and honest about what is not there."""

from __future__ import annotations

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from collector.reports import figures
from collector.reports.charts.stacks import Box, Stack, Units, draw
from collector.reports.charts.svg import NARROW, WIDE
from collector.reports.model import Result
from collector.reports.names import Names
from collector.reports.stack_drawings import Pictures, pictures
from collector.results import assemble
from tests.unit.reports.sample import sample_run

SIZES = Units(figures.size, figures.size_short)


@pytest.fixture(scope="module")
def result() -> Result:
    return assemble(sample_run())


def drawn(result: Result) -> Pictures:
    return pictures(result.hosts[0], result.layers, Names(result))


def heights(svg: str) -> dict[str, float]:
    found = re.findall(
        r'<rect x="[^"]*" y="[^"]*" width="[^"]*" height="([^"]*)" class="layer (\S+?)[ "]', svg
    )
    return {name: float(height) for height, name in found if height != "10"}


def test_layers_are_drawn_to_one_scale() -> None:
    small = Stack("small", "10 MB", [Box("engine", "engine", 10e6)])
    large = Stack("large", "40 MB", [Box("guest", "guest OS", 40e6)])
    found = heights(draw([small, large], ["host OS"], SIZES, WIDE, "both"))
    assert found["guest"] == pytest.approx(4 * found["engine"], rel=0.01)


def test_a_container_is_said_to_have_no_guest(result: Result) -> None:
    for drawing in [*drawn(result).sizes, *drawn(result).times]:
        assert drawing.count("no guest OS") == 1


def test_all_stacks_stand_on_the_host_and_its_hardware(result: Result) -> None:
    wide = drawn(result).sizes[0]
    assert "host OS: Debian GNU/Linux 12 (bookworm), Linux 6.18.0; shared by all" in wide
    assert "hardware: 2 CPUs, 25.3 GB; shared by all" in wide


def test_a_rest_that_is_nothing_is_not_drawn(result: Result) -> None:
    assert "unexplained" not in drawn(result).times[0]
    assert "unexplained" in drawn(result).sizes[0]


def test_layers_that_count_more_than_the_host_lost_are_the_whole(result: Result) -> None:
    layers = [
        row.model_copy(update={"bytes_per_instance": -2e6})
        if (row.runtime, row.layer) == ("docker", "unexplained")
        else row
        for row in result.layers
    ]
    wide = pictures(result.hosts[0], layers, Names(result)).sizes[0]
    assert "3.27 MB an instance" in wide
    assert "-2.00 MB" in wide


def test_a_host_without_layers_has_no_picture(result: Result) -> None:
    bare = pictures(result.hosts[0], [], Names(result))
    assert (bare.sizes, bare.times, bare.subjects) == ([], [], [])


@given(
    st.lists(st.lists(st.floats(0, 1e12), min_size=1, max_size=7), min_size=1, max_size=9),
    st.sampled_from([WIDE, NARROW]),
)
def test_labels_never_touch_whatever_the_sizes(values: list[list[float]], width: int) -> None:
    stacks = [
        Stack(str(n), "", [Box("engine", "engine", value) for value in each])
        for n, each in enumerate(values)
    ]
    svg = draw(stacks, ["host OS", "hardware"], SIZES, width, "any")
    labels = re.findall(r'x="([^"]+)" y="([^"]+)" text-anchor="start" class="amount"', svg)
    columns: dict[str, list[float]] = {}
    for x, y in labels:
        columns.setdefault(x, []).append(float(y))
    for places in columns.values():
        gaps = [abs(a - b) for a, b in zip(sorted(places), sorted(places)[1:], strict=False)]
        assert all(gap >= 32 for gap in gaps)
