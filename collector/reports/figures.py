"""Numbers as people read them: three digits, one unit, times and percentages."""

from __future__ import annotations

from math import floor, isfinite, log10

from collector.reports.model import Interval

_TIME = ((1e-6, "µs"), (1e-3, "ms"), (1.0, "s"))
_SIZE = ((1.0, "B"), (1e3, "kB"), (1e6, "MB"), (1e9, "GB"), (1e12, "TB"))
NOTHING = "–"


def seconds(value: float | None) -> str:
    """``0.2123`` is ``212 ms``."""
    return NOTHING if value is None else _with_unit(value, _TIME)


def seconds_span(interval: Interval | None) -> str:
    """Both ends in the unit of the upper one: ``203–234 ms``."""
    return NOTHING if interval is None else _span(interval, _TIME)


def duration(value: float) -> str:
    """How long a run took: ``2 min 43 s``."""
    minutes, rest = divmod(round(value), 60)
    return f"{minutes} min {rest} s" if minutes else f"{rest} s"


def size(value: float | None) -> str:
    """``4400000`` is ``4.40 MB``; decimal units."""
    return NOTHING if value is None else _with_unit(value, _SIZE)


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
    dash = " to " if interval[0] < 0 else "–"
    return f"{low}×" if low == high else f"{low}{dash}{high}×"


def counts_span(interval: Interval | None) -> str:
    """``307–382``."""
    if interval is None:
        return NOTHING
    low, high = (f"{end:.0f}" for end in interval)
    return low if low == high else f"{low}–{high}"


def percent(share: float, decimals: int = 0) -> str:
    """``0.123`` is ``12 %``."""
    return f"{share * 100:.{decimals}f} %"


def percent_span(interval: Interval) -> str:
    """``8–39 %``; with a decimal where only that tells the ends apart."""
    for decimals in (0, 1):
        low, high = (f"{share * 100:.{decimals}f}" for share in interval)
        if low != high:
            return f"{low}–{high} %"
    return percent(interval[0])


def chance(p_value: float | None) -> str:
    """A p-value, never nought."""
    if p_value is None:
        return NOTHING
    return "< 0.001" if p_value < 0.001 else f"{p_value:.2g}"


def _plain_ratio(ratio: float) -> str:
    if 0 < abs(ratio) < 0.1:
        return f"{ratio:.2g}"
    return f"{ratio:.{2 if abs(ratio) < 2 else 1 if abs(ratio) < 100 else 0}f}"


def _with_unit(value: float, units: tuple[tuple[float, str], ...]) -> str:
    if value == 0:
        return f"0 {_unit(1, units)[1]}"
    factor, name = _unit(value, units)
    return f"{_digits(value / factor, name)} {name}"


def _span(interval: Interval, units: tuple[tuple[float, str], ...]) -> str:
    """Both ends in one unit, with as many digits (three to five) as tell them apart."""
    factor, name = _unit(max(abs(end) for end in interval), units)
    for significant in (3, 4, 5):
        low, high = (_digits(end / factor, name, significant) for end in interval)
        if low != high:
            dash = " to " if interval[0] < 0 else "–"
            return f"{low}{dash}{high} {name}"
    return _with_unit(interval[0], units)


def _unit(value: float, units: tuple[tuple[float, str], ...]) -> tuple[float, str]:
    chosen = units[0]
    for factor, name in units:
        if round(abs(value) / factor, 9) >= 1:
            chosen = (factor, name)
    return chosen


def _digits(value: float, unit: str, significant: int = 3) -> str:
    """So many significant digits, and never a part of a byte."""
    if unit == "B" or value == 0 or not isfinite(value):
        return f"{value:.0f}"
    return f"{value:.{max(0, significant - 1 - floor(log10(abs(value))))}f}"


def seconds_short(value: float) -> str:
    """An axis mark: ``200 ms``, without noughts that say nothing."""
    return _short(value, _TIME)


def size_short(value: float) -> str:
    """An axis mark: ``20 MB``."""
    return _short(value, _SIZE)


def _short(value: float, units: tuple[tuple[float, str], ...]) -> str:
    if value == 0:
        return "0"
    factor, name = _unit(value, units)
    return f"{value / factor:.4g} {name}"
