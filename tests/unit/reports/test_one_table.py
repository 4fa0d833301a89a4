"""Every runtime in one table."""

from __future__ import annotations

from collector.reports.one_table import HEAD, render
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
    assert (row["carries"], row["p99"]) == ("9", "–")
    assert dict(zip(HEAD, cells(told, "docker"), strict=True))["VMM overhead"] == "–"


def test_forecasts_are_held_against_what_was_found() -> None:
    told = render(assemble(sample_run()))
    assert (
        "Forecasts: median absolute error 1.3 %, largest 2.2 %, over 2 ramps; none missed" in told
    )


def test_the_conditions_travel_with_it() -> None:
    told = render(assemble(sample_run()))
    assert "## Conditions" in told
    assert "under a budget of" not in told.split("## Conditions")[1]
    assert "Debian GNU/Linux 12 (bookworm), Linux 6.18.0, 2 CPUs" in told
    assert "A loop of guest code under KVM did not end" in told
