"""Panels with the manners of this house: what each visualisation looks like unless told otherwise.

Every panel says what it shows, from which metric, and what to beware of.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from string import ascii_uppercase

from grafana_foundation_sdk.models import (
    bargauge,
    common,
    heatmap,
    stat,
    statushistory,
    text,
    timeseries,
)
from grafana_foundation_sdk.models.dashboard import (
    DashboardFieldConfigSourceOverrides,
    DynamicConfigValue,
    FieldColor,
    FieldColorModeId,
    FieldConfig,
    FieldConfigSource,
    MatcherConfig,
    Panel,
    ValueMap,
)

from collector.dashboards.links import DataLink
from collector.dashboards.looks import NEUTRAL, Steps, fixed, legend, thresholds, tooltip
from collector.dashboards.sources import PROMETHEUS, Ask, at_end, buckets, over_time

NOTHING = "no data"


@dataclass(frozen=True, slots=True)
class Numbers:
    """What the numbers of a panel are, and how they are told."""

    unit: str
    low: float | None = 0
    high: float | None = None
    steps: Steps = NEUTRAL
    decimals: int | None = None
    nothing: str = NOTHING
    mapping: ValueMap | None = None
    link: DataLink | None = None
    # A series whose name is its meaning has a colour of its own.
    colors: Mapping[str, str] = field(default_factory=dict)
    by_value: bool = False

    def config(self, custom: object = None) -> FieldConfigSource:
        """As a panel has it."""
        mode = FieldColorModeId.THRESHOLDS if self.by_value else FieldColorModeId.PALETTE_CLASSIC
        return FieldConfigSource(
            defaults=FieldConfig(
                unit=self.unit,
                min_val=self.low,
                max_val=self.high,
                decimals=self.decimals,
                thresholds=thresholds(self.steps),
                color=FieldColor(mode=mode),
                no_value=self.nothing,
                mappings=[self.mapping] if self.mapping else [],
                links=[self.link] if self.link else [],
                custom=custom if custom is not None else {},
            ),
            overrides=[named(name, fixed(color)) for name, color in self.colors.items()],
        )


def named(name: str, *properties: DynamicConfigValue) -> DashboardFieldConfigSourceOverrides:
    """What is different about the field or series of this name."""
    return DashboardFieldConfigSourceOverrides(
        matcher=MatcherConfig(id_val="byName", options=name), properties=list(properties)
    )


def matching(pattern: str, *properties: DynamicConfigValue) -> DashboardFieldConfigSourceOverrides:
    """What is different about the fields or series whose names match."""
    return DashboardFieldConfigSourceOverrides(
        matcher=MatcherConfig(id_val="byRegexp", options=pattern), properties=list(properties)
    )


def dashed(pattern: str) -> DashboardFieldConfigSourceOverrides:
    """Series that are no measurements, but limits and forecasts."""
    style = {"fill": "dash", "dash": [8, 6]}
    return matching(
        pattern,
        DynamicConfigValue(id_val="custom.lineStyle", value=style),
        DynamicConfigValue(id_val="custom.fillOpacity", value=0),
        DynamicConfigValue(id_val="custom.stacking", value={"mode": "none", "group": "A"}),
    )


def trend(
    title: str,
    about: str,
    asked: Sequence[Ask],
    numbers: Numbers,
    *,
    stacked: bool = False,
    bars: bool = False,
    stairs: bool = False,
    log: bool = False,
    dash: str = "",
    limit_lines: bool = False,
) -> Panel:
    """Something over time; ``stairs`` for what holds until it is replaced."""
    config = numbers.config(_line(stacked, bars, stairs, log, limit_lines))
    if dash and config.overrides is not None:
        config.overrides.append(dashed(dash))
    return Panel(
        type_val="timeseries",
        title=title,
        description=about,
        datasource=PROMETHEUS,
        targets=[over_time(each, ref) for each, ref in zip(asked, ascii_uppercase, strict=False)],
        options=timeseries.Options(legend=legend("lastNotNull", "max"), tooltip=tooltip()),
        field_config=config,
    )


def _line(
    stacked: bool, bars: bool, stairs: bool, log: bool, limit_lines: bool
) -> common.GraphFieldConfig:
    scale, stacking, style = common.ScaleDistribution, common.StackingMode, common.GraphDrawStyle
    shape = common.LineInterpolation
    lines = common.GraphThresholdsStyleMode
    return common.GraphFieldConfig(
        draw_style=style.BARS if bars else style.LINE,
        line_interpolation=shape.STEP_AFTER if stairs else shape.LINEAR,
        line_width=1 if bars else 2,
        fill_opacity=80 if bars else 35 if stacked else 6,
        gradient_mode=common.GraphGradientMode.NONE,
        show_points=common.VisibilityMode.AUTO,
        stacking=common.StackingConfig(mode=stacking.NORMAL if stacked else stacking.NONE),
        scale_distribution=common.ScaleDistributionConfig(
            type_val=scale.LOG if log else scale.LINEAR, log=10 if log else None
        ),
        thresholds_style=common.GraphThresholdsStyleConfig(
            mode=lines.DASHED if limit_lines else lines.OFF
        ),
        # A gap is a gap: what was not scraped is not known.
        span_nulls=False,
    )


def figure(
    title: str,
    about: str,
    asked: Sequence[Ask],
    numbers: Numbers,
    *,
    named_values: bool = False,
    background: bool = False,
    spark: bool = False,
    words: str = "",
) -> Panel:
    """One number, or a few; ``words`` is a field to show in place of a number."""
    shown, graph, color = (
        common.BigValueTextMode,
        common.BigValueGraphMode,
        common.BigValueColorMode,
    )
    over = over_time if spark else at_end
    return Panel(
        type_val="stat",
        title=title,
        description=about,
        datasource=PROMETHEUS,
        targets=[over(each, ref) for each, ref in zip(asked, ascii_uppercase, strict=False)],
        options=stat.Options(
            graph_mode=graph.AREA if spark else graph.NONE,
            color_mode=color.BACKGROUND if background else color.VALUE,
            justify_mode=common.BigValueJustifyMode.AUTO,
            text_mode=shown.VALUE_AND_NAME if named_values else shown.VALUE,
            reduce_options=common.ReduceDataOptions(calcs=["lastNotNull"], fields=words),
            orientation=common.VizOrientation.AUTO,
        ),
        field_config=replace(numbers, by_value=not numbers.colors).config(),
    )


def bars(title: str, about: str, asked: Sequence[Ask], numbers: Numbers) -> Panel:
    """A bar for each series, as of now."""
    return Panel(
        type_val="bargauge",
        title=title,
        description=about,
        datasource=PROMETHEUS,
        targets=[at_end(each, ref) for each, ref in zip(asked, ascii_uppercase, strict=False)],
        options=bargauge.Options(
            display_mode=common.BarGaugeDisplayMode.BASIC,
            value_mode=common.BarGaugeValueMode.COLOR,
            name_placement=common.BarGaugeNamePlacement.LEFT,
            reduce_options=common.ReduceDataOptions(calcs=["lastNotNull"], fields=""),
            orientation=common.VizOrientation.HORIZONTAL,
            max_viz_height=28,
        ),
        field_config=numbers.config(),
    )


def heat(title: str, about: str, asked: Ask, numbers: Numbers) -> Panel:
    """How many fell into which bucket, over time."""
    return Panel(
        type_val="heatmap",
        title=title,
        description=about,
        datasource=PROMETHEUS,
        targets=[buckets(asked, "A")],
        options=heatmap.Options(
            calculate=False,
            color=heatmap.HeatmapColorOptions(
                mode=heatmap.HeatmapColorMode.SCHEME, scheme="Blues", steps=64, exponent=0.5
            ),
            cell_gap=1,
            # Empty cells are left out, so that a rare slow start is seen.
            filter_values=heatmap.FilterValueRange(le=1e-9),
            y_axis=heatmap.YAxisConfig(unit=numbers.unit),
            rows_frame=heatmap.RowsHeatmapOptions(layout=common.HeatmapCellLayout.AUTO),
            legend=heatmap.HeatmapLegend(show=True),
            tooltip=heatmap.HeatmapTooltip(mode=common.TooltipDisplayMode.SINGLE, y_histogram=True),
            show_value=common.VisibilityMode.NEVER,
        ),
        field_config=numbers.config(),
    )


def states(title: str, about: str, asked: Sequence[Ask], numbers: Numbers) -> Panel:
    """Which of a few states each thing was in, over time."""
    return Panel(
        type_val="status-history",
        title=title,
        description=about,
        datasource=PROMETHEUS,
        targets=[over_time(each, ref) for each, ref in zip(asked, ascii_uppercase, strict=False)],
        options=statushistory.Options(
            show_value=common.VisibilityMode.NEVER,
            legend=common.VizLegendOptions(show_legend=False),
            tooltip=tooltip(),
        ),
        field_config=numbers.config(),
        max_data_points=60,
    )


def note(title: str, about: str, content: str) -> Panel:
    """Words for the reader, in Markdown."""
    return Panel(
        type_val="text",
        title=title,
        description=about,
        options=text.Options(mode=text.TextMode.MARKDOWN, content=content),
    )
