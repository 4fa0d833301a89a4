"""Sizes, durations and shares as people write them."""

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import TypeAdapter, ValidationError

from collector.spec.units import Budget, Duration, Percent, RunLimit, Seconds, Share, Size


@pytest.mark.parametrize(
    ("kind", "text", "value"),
    [
        (Budget, "128MiB", 128 * 2**20),
        (Budget, " 2 GiB ", 2 * 2**30),
        (Budget, "1.5GiB", 3 * 2**29),
        (Seconds, "250ms", 0.25),
        (Seconds, "5s", 5.0),
        (RunLimit, "90min", 5400.0),
        (Seconds, "5m", 300.0),
        (Percent, "5%", 0.05),
        (Percent, "57%", 0.57),
    ],
)
def test_reads_a_number_with_its_unit(kind: Any, text: str, value: float) -> None:
    assert TypeAdapter(kind).validate_python(text) == value


@pytest.mark.parametrize(
    ("kind", "text", "remedy"),
    [
        (Budget, "128MB", "did you mean 128MiB?"),
        (Budget, "128m", "did you mean 128MiB?"),
        (Seconds, "5mins", "did you mean 5min?"),
        (Seconds, 5, "guesswork"),
        (Percent, "5", "one of the units %"),
        (Budget, "lots", "for example 128MiB."),
        (Seconds, "long", "for example 30s."),
        (Percent, "half", "for example 5%."),
        (Budget, None, "one of the units B, KiB"),
        (Budget, True, "one of the units B, KiB"),
        (Budget, "-5MiB", "one of the units"),
        (Budget, "٣MiB", "one of the units"),
    ],
)
def test_refuses_a_wrong_unit_and_names_the_right_ones(
    kind: Any, text: object, remedy: str
) -> None:
    with pytest.raises(ValidationError) as caught:
        TypeAdapter(kind).validate_python(text)
    assert remedy in caught.value.errors()[0]["ctx"]["remedy"]


@pytest.mark.parametrize(("kind", "text"), [(Budget, "1KiB"), (Budget, "65TiB"), (Percent, "101%")])
def test_refuses_what_is_out_of_bounds_and_names_them(kind: Any, text: str) -> None:
    with pytest.raises(ValidationError, match="outside of"):
        TypeAdapter(kind).validate_python(text)


@given(st.integers(0, 2**46))
def test_a_written_size_reads_back_the_same(value: int) -> None:
    kind = Size("0B", "64TiB")
    assert kind.read(kind.write(value)) == value


@given(st.integers(0, 86_400 * 10**9))
def test_a_written_duration_reads_back_the_same(nanoseconds: int) -> None:
    kind = Duration("0s", "24h")
    value = round(nanoseconds / 1e9, 9)
    assert kind.read(kind.write(value)) == value


@given(st.integers(0, 10**9))
def test_a_written_share_reads_back_the_same(parts: int) -> None:
    kind = Share("0%", "100%")
    value = round(parts / 1e9, 9)
    assert kind.read(kind.write(value)) == value
