"""The time range of a panel, its step, and the variables that Grafana derives from them."""

from __future__ import annotations

import re
from dataclasses import dataclass

from deploy.observe.interpolation import Bound

_UNIT_SECONDS = {
    "ms": 0.001,
    "s": 1,
    "m": 60,
    "h": 3600,
    "d": 86_400,
    "w": 604_800,
    "M": 2_592_000,
    "y": 31_536_000,
}
_DURATION = re.compile(r"(\d+)(ms|[smhdwMy])")
_MOST_POINTS = 11_000  # Prometheus refuses more in one series

# rangeUtil.roundInterval of Grafana: below the first of a pair in milliseconds, the second.
_ROUND = (
    (10, 1),
    (15, 10),
    (35, 20),
    (75, 50),
    (150, 100),
    (350, 200),
    (750, 500),
    (1_500, 1_000),
    (3_500, 2_000),
    (7_500, 5_000),
    (12_500, 10_000),
    (17_500, 15_000),
    (25_000, 20_000),
    (45_000, 30_000),
    (90_000, 60_000),
    (210_000, 120_000),
    (450_000, 300_000),
    (750_000, 600_000),
    (1_050_000, 900_000),
    (1_500_000, 1_200_000),
    (2_700_000, 1_800_000),
    (5_400_000, 3_600_000),
    (9_000_000, 7_200_000),
    (16_200_000, 10_800_000),
    (32_400_000, 21_600_000),
    (86_400_000, 43_200_000),
    (604_800_000, 86_400_000),
    (1_814_400_000, 604_800_000),
)


def seconds(duration: str) -> float:
    """The length of a duration such as ``1h30m``. Raises ``ValueError``."""
    parts = _DURATION.findall(duration)
    if not parts or "".join(n + unit for n, unit in parts) != duration:
        raise ValueError(f"{duration!r} is not a duration such as 30s or 1h")
    return sum(int(n) * _UNIT_SECONDS[unit] for n, unit in parts)


def written(length_seconds: float) -> str:
    """A length as Grafana writes it: ``15s``, ``1m0s`` is ``60s``; below a second in ms."""
    if length_seconds < 1:
        return f"{round(length_seconds * 1000)}ms"
    for unit in "dhm":
        if length_seconds >= (one := _UNIT_SECONDS[unit]) and length_seconds % one == 0:
            return f"{int(length_seconds / one)}{unit}"
    return f"{int(length_seconds)}s"


@dataclass(frozen=True, slots=True)
class Range:
    """What is looked at, in seconds after 1970, and how often the source has a new sample."""

    start: float
    end: float
    scrape_seconds: float = 15.0

    @property
    def length(self) -> float:
        """In seconds."""
        return self.end - self.start

    def interval(self, points: int, least_seconds: float | None = None) -> float:
        """``$__interval`` in seconds, for a panel that has room for so many points."""
        raw = self.length * 1000 / points
        nearest = next((to for below, to in _ROUND if raw < below), 2_592_000_000) / 1000
        return max(nearest, self.scrape_seconds if least_seconds is None else least_seconds)

    def step(self, interval: float) -> float:
        """The step of a range query."""
        return max(interval, self.length / _MOST_POINTS)

    def variables(self, interval: float) -> dict[str, Bound]:
        """The built-in variables at this interval."""
        rate = max(interval + self.scrape_seconds, 4 * self.scrape_seconds)
        texts = {
            "__from": str(int(self.start * 1000)),
            "__to": str(int(self.end * 1000)),
            "__interval": written(interval),
            "__interval_ms": str(int(interval * 1000)),
            "__range": f"{int(self.length)}s",
            "__range_s": str(int(self.length)),
            "__range_ms": str(int(self.length * 1000)),
            "__rate_interval": written(rate),
            "__rate_interval_ms": str(int(rate * 1000)),
            "__timezone": "utc",
            "__org": "1",
        }
        return {name: Bound(name, (text,), (text,)) for name, text in texts.items()}
