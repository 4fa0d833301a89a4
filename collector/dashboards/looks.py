"""How things look: thresholds, colours of words, legends."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from grafana_foundation_sdk.models import common
from grafana_foundation_sdk.models.dashboard import (
    DynamicConfigValue,
    FieldColor,
    FieldColorModeId,
    Threshold,
    ThresholdsConfig,
    ThresholdsMode,
    ValueMap,
    ValueMappingResult,
)

GOOD, FAIR, WARN, BAD, PLAIN = "green", "yellow", "orange", "red", "text"

# A colour, or a value from which on the next one holds.
Steps = Sequence[tuple[float | None, str]]

NEUTRAL: Steps = ((None, "blue"),)
# The alert on headroom fires below 15 %.
HEADROOM: Steps = ((None, BAD), (0.15, FAIR), (0.3, GOOD))
NO_LIMIT = "no ramp found a host's limit yet"
FILL: Steps = ((None, GOOD), (0.7, FAIR), (0.85, BAD))
PRESSURE: Steps = ((None, GOOD), (0.1, FAIR), (0.4, BAD))
ANY_IS_BAD: Steps = ((None, GOOD), (1, BAD))
ANY_IS_FAIR: Steps = ((None, GOOD), (1, FAIR))
ZERO_IS_BAD: Steps = ((None, BAD), (1, GOOD))
FAILURES: Steps = ((None, GOOD), (0.01, FAIR), (0.05, BAD))
DAYS_LEFT: Steps = ((None, BAD), (7 * 86_400, FAIR), (30 * 86_400, GOOD))
SINCE: Steps = ((None, GOOD), (120, FAIR), (600, BAD))
AGE: Steps = ((None, PLAIN), (30 * 86_400, FAIR))
RATIO: Steps = ((None, GOOD), (1.05, FAIR), (1.25, BAD))
DISAGREEMENT: Steps = ((None, GOOD), (1.25, FAIR), (2, BAD))

HOST_STATES = {"healthy": GOOD, "draining": FAIR, "suspect": WARN, "lost": BAD}
RUN_STATES = {
    "pending": PLAIN,
    "running": "blue",
    "finished": GOOD,
    "partial": WARN,
    "failed": BAD,
    "cancelled": FAIR,
}
OUTCOMES = {
    "ready": GOOD,
    "failed": BAD,
    "timed_out": WARN,
    "cancelled": FAIR,
    "interrupted": "purple",
}
VERDICTS = {
    "faster": GOOD,
    "smaller": GOOD,
    "slower": WARN,
    "larger": WARN,
    "no difference": "blue",
    "inconclusive": PLAIN,
}
SEVERITIES = {"critical": BAD, "warning": WARN, "info": "blue"}


def thresholds(steps: Steps) -> ThresholdsConfig:
    """Colours by value."""
    return ThresholdsConfig(
        mode=ThresholdsMode.ABSOLUTE,
        steps=[Threshold(value=at, color=color) for at, color in steps],
    )


def words(colors: Mapping[str, str], texts: Mapping[str, str] | None = None) -> ValueMap:
    """Colours by value, where values are words or few; ``texts`` are shown in their place."""
    shown = texts or {}
    return ValueMap(
        options={
            word: ValueMappingResult(text=shown.get(word), color=color, index=at)
            for at, (word, color) in enumerate(colors.items())
        }
    )


def fixed(color: str) -> DynamicConfigValue:
    """A series' colour, for those whose name is their meaning."""
    return DynamicConfigValue(
        id_val="color",
        value=FieldColor(mode=FieldColorModeId.FIXED, fixed_color=color),
    )


def legend(*calculations: str, right: bool = False) -> common.VizLegendOptions:
    """A legend as a table, with what is to be read off."""
    return common.VizLegendOptions(
        display_mode=common.LegendDisplayMode.TABLE,
        placement=common.LegendPlacement.RIGHT if right else common.LegendPlacement.BOTTOM,
        show_legend=True,
        calcs=list(calculations),
        sort_by="Last *" if "lastNotNull" in calculations else None,
        sort_desc=True if "lastNotNull" in calculations else None,
    )


def tooltip() -> common.VizTooltipOptions:
    """Every series at the cursor, the largest first."""
    return common.VizTooltipOptions(
        mode=common.TooltipDisplayMode.MULTI, sort=common.SortOrder.DESCENDING
    )
