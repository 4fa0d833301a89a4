"""Numbers as people read them: three digits, one unit, times and percentages."""

from __future__ import annotations

from math import floor, isfinite, log10

from collector.reports.model import Interval

_TIME = ((1e-6, "µs"), (1e-3, "ms"), (1.0, "s"))
_SIZE = ((1.0, "B"), (1e3, "kB"), (1e6, "MB"), (1e9, "GB"), (1e12, "TB"))
NOTHING = "–"


def seconds(value: float | None) -> str:
    """``0.2123`` is ``212 ms``."""
    return NOTHING if value is None else _with_unit(value, value, _TIME)


def seconds_span(interval: Interval | None) -> str:
    """Both ends in the unit of the upper one: ``203–234 ms``."""
    return NOTHING if interval is None else _span(interval, _TIME)


def size(value: float | None) -> str:
    """``4400000`` is ``4.40 MB``; decimal units."""
    return NOTHING if value is None else _with_unit(value, value, _SIZE)


def size_span(interval: Interval | None) -> str:
    """Both ends in the unit of the upper one: ``4.36–4.44 MB``."""
    return NOTHING if interval is None else _span(interval, _SIZE)


def binary_size(value: int) -> str:
    """A size that was asked for, in the units it was asked in: ``128 MiB``."""
    return f"{value / 2**30:g} GiB" if value % 2**30 == 0 else f"{value / 2**20:g} MiB"


def times(ratio: float | None) -> str:
    """``9.31`` is ``9.3×``; near one, two decimals."""
    return NOTHING if ratio is None else f"{_plain_ratio(ratio)}×"


def times_span(interval: Interval | None) -> str:
    """``8.8–10.3×``."""
    if interval is None:
        return NOTHING
    low, high = (_plain_ratio(end) for end in interval)
    return f"{low}×" if low == high else f"{low}–{high}×"


def percent(share: float, decimals: int = 0) -> str:
    """``0.123`` is ``12 %``."""
    return f"{share * 100:.{decimals}f} %"


def chance(p_value: float | None) -> str:
    """A p-value, never nought."""
    if p_value is None:
        return NOTHING
    return "< 0.001" if p_value < 0.001 else f"{p_value:.2g}"


def _plain_ratio(ratio: float) -> str:
    return f"{ratio:.{2 if abs(ratio) < 2 else 1 if abs(ratio) < 100 else 0}f}"


def _with_unit(value: float, measure: float, units: tuple[tuple[float, str], ...]) -> str:
    factor, name = _unit(measure, units)
    return f"{_digits(value / factor, name)} {name}"


def _span(interval: Interval, units: tuple[tuple[float, str], ...]) -> str:
    factor, name = _unit(max(abs(end) for end in interval), units)
    low, high = (_digits(end / factor, name) for end in interval)
    return f"{low} {name}" if low == high else f"{low}–{high} {name}"


def _unit(value: float, units: tuple[tuple[float, str], ...]) -> tuple[float, str]:
    chosen = units[0]
    for factor, name in units:
        if round(abs(value) / factor, 9) >= 1:
            chosen = (factor, name)
    return chosen


def _digits(value: float, unit: str) -> str:
    """Three significant digits, and never a part of a byte."""
    if unit == "B" or value == 0 or not isfinite(value):
        return f"{value:.0f}"
    return f"{value:.{max(0, 2 - floor(log10(abs(value))))}f}"
