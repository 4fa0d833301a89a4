"""Every runtime in one table."""

from __future__ import annotations

from collector.reports.one_table import HEAD, missed, render
from collector.results import assemble
from tests.unit.reports.sample import sample_run


def cells(text: str, runtime: str) -> list[str]:
    line = next(line for line in text.splitlines() if line.startswith(f"| `{runtime}"))
    return [cell.strip() for cell in line.strip("|").split("|")]


def test_each_runtime_is_a_row_with_every_column() -> None:
    told = render(assemble(sample_run()))
    for runtime in ("docker", "qemu-microvm"):
        assert len(cells(told, runtime)) == len(HEAD)
    row = dict(zip(HEAD, cells(told, "qemu-microvm"), strict=True))
    assert row["VMM overhead"] == "31.0 MB"
    assert row["carries"] == "9"
    assert row["p99"].startswith("p99 needs 300 samples")
    assert dict(zip(HEAD, cells(told, "docker"), strict=True))["VMM overhead"] == "no VMM"


def test_forecasts_are_held_against_what_was_found() -> None:
    result = assemble(sample_run())
    assert missed(result) == []
    told = render(result)
    assert "median absolute error 1.3 %" in told
    assert "over 2 of 2 ramps. Kept." in told


def test_a_forecast_that_missed_by_far_is_named() -> None:
    result = assemble(sample_run())
    ramp = result.density[0].model_copy(update={"forecast_error": 0.2, "instances": 50})
    result = result.model_copy(update={"density": [ramp]})
    median, far = missed(result)
    assert "20.0 %" in median
    assert far.startswith("docker")
    assert f"Missed: {median}; {far}." in render(result)


def test_one_instance_off_is_no_miss_by_far() -> None:
    result = assemble(sample_run())
    ramp = result.density[0].model_copy(update={"forecast_error": 0.2, "instances": 5})
    assert len(missed(result.model_copy(update={"density": [ramp]}))) == 1  # the median alone


def test_a_ramp_without_a_forecast_says_so() -> None:
    result = assemble(sample_run())
    update = {"forecast_error": None, "forecast_instances": None}
    result = result.model_copy(update={"density": [result.density[0].model_copy(update=update)]})
    row = dict(zip(HEAD, cells(render(result), "docker"), strict=True))
    assert row["foreseen"] == "ended before"


def test_the_conditions_travel_with_it() -> None:
    told = render(assemble(sample_run()))
    assert "## Conditions" in told
    assert "under a budget of" not in told.split("## Conditions")[1]
    assert "Debian GNU/Linux 12 (bookworm), Linux 6.18.0, 2 CPUs" in told
    assert "A loop of guest code under KVM did not end" in told


def test_a_ramp_that_something_else_ended_says_what_without_an_address() -> None:
    result = assemble(sample_run())
    refused = "the engine at unix:///a/b.sock refused: no lock is left."
    update = {"stop_reason": "launch_failed", "binding_constraint": refused}
    ramp = result.density[0].model_copy(update=update)
    told = render(result.model_copy(update={"density": [ramp]}))
    assert "`docker` ended otherwise than by its budget, launch failed: the engine at its" in told
    assert "its socket refused: no lock is left." in told
    assert "ended otherwise" not in render(result)
