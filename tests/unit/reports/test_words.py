"""Numbers, names and sentences as people read them."""

from __future__ import annotations

from functools import cache

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from collector.reports import figures
from collector.reports.model import ComparisonRow, Result
from collector.reports.names import Names
from collector.reports.sentences import sentences
from collector.results import assemble
from tests.unit.reports.sample import sample_run


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (None, "–"),
        (0.2123, "212 ms"),
        (2.118, "2.12 s"),
        (0.99999, "1000 ms"),
        (61.0, "61.0 s"),
        (1.5e-5, "15.0 µs"),
        (-0.002, "-2.00 ms"),
        (0.0, "0 s"),
    ],
)
def test_seconds(value: float | None, text: str) -> None:
    assert figures.seconds(value) == text


def test_sizes_and_ratios() -> None:
    assert figures.size(4_400_000) == "4.40 MB"
    assert figures.size(512) == "512 B"
    assert figures.size_span((4.36e6, 4.44e6)) == "4.36–4.44 MB"
    assert figures.percent_span((0.08, 0.39)) == "8–39 %"
    assert figures.percent_span((0.2593, 0.2628)) == "25.9–26.3 %"
    assert figures.percent_span((0.26, 0.26)) == "26 %"
    assert figures.size_span((161.8e6, 162.3e6)) == "161.8–162.3 MB"
    assert figures.size_span((-34.7e6, 27.7e6)) == "-34.7 to 27.7 MB"
    assert figures.size(0) == "0 B"
    assert figures.times(9.31) == "9.3×"
    assert figures.times(1.02) == "1.02×"
    assert figures.times(0.0263) == "0.026×"
    assert figures.chance(0.0001) == "< 0.001"


@given(st.floats(1e-9, 1e9))
def test_every_figure_has_a_unit_and_is_short(value: float) -> None:
    for text in (figures.seconds(value), figures.size(value)):
        number, unit = text.split(" ")
        assert unit
        assert len(number) <= 10


def test_the_headline_says_who_by_how_much_and_how_sure() -> None:
    first = sentences(assemble(sample_run()))[0]
    assert first.text.startswith(
        "On host h1, docker starts 9.3× faster than qemu-microvm (TCG): median"
    )
    assert "95 % interval" in first.text
    assert "n = 60 and 19" in first.text


@cache
def plain_result() -> Result:
    return assemble(sample_run())


def with_comparison(**changes: object) -> str:
    result = plain_result()
    row = result.comparisons[0].model_copy(update=changes)
    return sentences(result.model_copy(update={"comparisons": [row]}))[0].text


def test_the_faster_side_comes_first_whichever_is_the_baseline() -> None:
    text = with_comparison(ratio=0.1, ci=(0.09, 0.11), verdict="faster")
    assert "qemu-microvm (TCG) starts 10.0× faster than docker" in text
    assert "9.1–11.1×" in text


def test_small_differences_are_told_in_percent() -> None:
    text = with_comparison(ratio=1.25, ci=(1.2, 1.3), verdict="slower")
    assert "docker starts in 20 % less time than qemu-microvm (TCG)" in text
    assert "17–23 %" in text


def test_no_difference_and_open_are_said_so() -> None:
    same = with_comparison(ratio=1.01, ci=(0.98, 1.03), verdict="no difference")
    assert "start equally fast" in same
    unsure = with_comparison(ratio=None, ci=None, verdict="inconclusive", reason="Too few samples.")
    assert "it stays open whether docker or qemu-microvm (TCG) starts faster. Too few" in unsure


@settings(deadline=None)  # the first one builds the result
@given(
    st.sampled_from(["startup.total", "footprint.mem_available", "footprint.disk_marginal"]),
    st.sampled_from(["faster", "slower", "no difference", "inconclusive"]),
    st.one_of(st.none(), st.floats(0, 1e4)),
    st.one_of(st.none(), st.tuples(st.floats(-1, 1), st.floats(1, 1e4))),
)
def test_any_comparison_can_be_told(
    metric: str, verdict: str, ratio: float | None, ci: tuple[float, float] | None
) -> None:
    text = with_comparison(metric=metric, verdict=verdict, ratio=ratio, ci=ci)
    assert text.endswith(".")


def test_other_estimators_are_told_where_memavailable_leaves_it_open() -> None:
    result = plain_result()
    rows = [
        row.model_copy(update={"ratio": None, "ci": None, "verdict": "inconclusive"})
        if row.metric == "footprint.mem_available"
        else row
        for row in result.comparisons
    ]
    told = [s.text for s in sentences(result.model_copy(update={"comparisons": rows}))]
    assert any("36.6× by PSS (larger)" in text for text in told)


def test_names_tell_subjects_apart_by_what_differs() -> None:
    result: Result = assemble(sample_run())
    small = result.startup[0].model_copy(update={"memory_bytes": 2**20})
    names = Names(result.model_copy(update={"startup": [*result.startup, small]}))
    assert names.of(small) == "docker 1 MiB"
    assert names.of(result.startup[0]) == "docker 64 MiB"
    assert Names(result).of(result.startup[0]) == "docker"


def test_comparison_rows_know_both_sides() -> None:
    row: ComparisonRow = assemble(sample_run()).comparisons[0]
    assert (row.baseline.runtime, row.candidate.runtime) == ("docker", "qemu-microvm")


def limit_with(**changes: object) -> str:
    result = plain_result()
    row = result.density[0].model_copy(update=changes)
    told = sentences(result.model_copy(update={"density": [row], "comparisons": []}))
    return told[0].text


def test_a_limit_says_how_many_why_no_more_and_how_good_the_forecast_was() -> None:
    changes = {
        "instances": 72,
        "binding_constraint": "memory used 260.0 MiB > budget 256.0 MiB",
        "forecast_instances": 100.0,
        "forecast_ci": (64.0, 110.0),
        "forecast_at_instances": 24,
        "forecast_error": 28 / 72,
    }
    assert limit_with(**changes) == (
        "Host h1 carries 72 docker instances within the memory budget. "
        "The next step took more memory than the experiment "
        "allows: memory used 260.0 MiB > budget 256.0 MiB. The forecast, made at 24 instances, "
        "was 100 (95 % interval 64–110): 28 too many (39 %)."
    )
    assert limit_with(**{**changes, "instances": 100, "forecast_error": 0.0}).endswith("and right.")


def test_a_ramp_that_found_no_limit_says_at_least() -> None:
    text = limit_with(instances=50, stop_reason="max_instances", binding_constraint=None)
    assert "carries at least 50 docker instances. The experiment asked for no more." in text
    assert "did not come to its end" in limit_with(instances=None, stop_reason=None)
