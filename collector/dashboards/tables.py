"""Tables: a column a query, put together by the labels they share."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from string import ascii_uppercase

from grafana_foundation_sdk.models import barchart, common, table
from grafana_foundation_sdk.models.dashboard import (
    DashboardFieldConfigSourceOverrides,
    DataTransformerConfig,
    DynamicConfigValue,
    FieldColor,
    FieldColorModeId,
    FieldConfig,
    FieldConfigSource,
    Panel,
)

from collector.dashboards.links import DataLink
from collector.dashboards.looks import Steps, legend, thresholds, tooltip, words
from collector.dashboards.panels import NOTHING, Numbers, named
from collector.dashboards.sources import POSTGRES, PROMETHEUS, Ask, Sql, rows, statement


@dataclass(frozen=True, slots=True)
class Column:
    """A column of numbers, or of words with colours. An empty unit is for words."""

    name: str
    unit: str = ""
    steps: Steps = ()
    colors: Mapping[str, str] = field(default_factory=dict)
    texts: Mapping[str, str] = field(default_factory=dict)
    link: DataLink | None = None
    width: int | None = None
    decimals: int | None = None
    hidden: bool = False

    def override(self) -> DashboardFieldConfigSourceOverrides:
        """What is different about it."""
        return named(self.name, *self._properties())

    def _properties(self) -> list[DynamicConfigValue]:
        found: dict[str, object | None] = {
            "unit": self.unit or None,
            "decimals": self.decimals,
            "custom.width": self.width,
            "custom.hidden": True if self.hidden else None,
            "thresholds": thresholds(self.steps) if self.steps else None,
            "mappings": [words(self.colors, self.texts)] if self.colors else None,
            "links": [self.link] if self.link else None,
            "custom.cellOptions": self._cell(),
        }
        return [
            DynamicConfigValue(id_val=name, value=value)
            for name, value in found.items()
            if value is not None
        ]

    def _cell(self) -> dict[str, object] | None:
        return {"type": "color-text"} if self.steps or self.colors else None


def table_of(
    title: str,
    about: str,
    columns: Sequence[tuple[Column, str]],
    *,
    labels: Sequence[Column],
    sort: str,
    descending: bool = False,
    without: Sequence[str] = (),
    nothing: str = NOTHING,
) -> Panel:
    """A row for each set of labels, a column for each expression.

    An expression whose column is called ``""`` brings labels alone. All must have labels of
    which each is in all or stands in one alone, or rows would not meet.
    """
    asked = [Ask(expression) for _, expression in columns]
    values = _value_names(len(asked))
    renamed = {value: column.name for value, (column, _) in zip(values, columns, strict=True)}
    out = {"Time": True, **dict.fromkeys(without, True)}
    out |= {value: True for value, name in renamed.items() if not name}
    order = [*(label.name for label in labels), *values]
    return Panel(
        type_val="table",
        title=title,
        description=about,
        datasource=PROMETHEUS,
        targets=[rows(each, ref) for each, ref in zip(asked, ascii_uppercase, strict=False)],
        transformations=[
            DataTransformerConfig(id_val="merge", options={}),
            *_numbers([label.name for label in labels if label.unit]),
            DataTransformerConfig(
                id_val="organize",
                options={
                    "excludeByName": out,
                    "indexByName": {name: at for at, name in enumerate(order)},
                    "renameByName": {value: name for value, name in renamed.items() if name},
                },
            ),
        ],
        options=_options(sort, descending),
        field_config=_config([*labels, *(c for c, _ in columns if c.name)], nothing),
    )


def table_of_sql(
    title: str,
    about: str,
    asked: Sql,
    columns: Sequence[Column],
    *,
    sort: str = "",
    descending: bool = False,
    nothing: str = NOTHING,
) -> Panel:
    """The rows of a statement, in its order unless another is asked for."""
    return Panel(
        type_val="table",
        title=title,
        description=about,
        datasource=POSTGRES,
        targets=[statement(asked, "A")],
        options=_options(sort, descending),
        field_config=_config(columns, nothing),
    )


def grouped(
    title: str,
    about: str,
    columns: Sequence[tuple[str, str]],
    numbers: Numbers,
    *,
    stacked: bool = False,
    log: bool = False,
) -> Panel:
    """Bars for each ``subject``, a bar or a part of it for each expression."""
    asked = [Ask(expression) for _, expression in columns]
    values = _value_names(len(asked))
    panel = chart(title, about, numbers, stacked=stacked, log=log)
    panel.datasource = PROMETHEUS
    panel.targets = [rows(each, ref) for each, ref in zip(asked, ascii_uppercase, strict=False)]
    panel.transformations = [
        DataTransformerConfig(id_val="merge", options={}),
        DataTransformerConfig(
            id_val="organize",
            options={
                "excludeByName": {"Time": True},
                "indexByName": {name: at for at, name in enumerate(("subject", *values))},
                "renameByName": {
                    value: name for value, (name, _) in zip(values, columns, strict=True)
                },
            },
        ),
    ]
    return panel


def chart(
    title: str, about: str, numbers: Numbers, *, stacked: bool = False, log: bool = False
) -> Panel:
    """Horizontal bars by ``subject``; what is asked comes from the caller."""
    stacking, scale = common.StackingMode, common.ScaleDistribution
    return Panel(
        type_val="barchart",
        title=title,
        description=about,
        options=barchart.Options(
            x_field="subject",
            orientation=common.VizOrientation.HORIZONTAL,
            stacking=stacking.NORMAL if stacked else stacking.NONE,
            show_value=common.VisibilityMode.AUTO,
            x_tick_label_max_length=60,
            legend=legend(),
            tooltip=tooltip(),
        ),
        field_config=numbers.config(
            barchart.FieldConfig(
                fill_opacity=80,
                scale_distribution=common.ScaleDistributionConfig(
                    type_val=scale.LOG if log else scale.LINEAR, log=10 if log else None
                ),
            )
        ),
    )


def _numbers(names: Sequence[str]) -> list[DataTransformerConfig]:
    """Labels that are numbers: Prometheus knows words alone, and words have no unit."""
    if not names:
        return []
    conversions = [{"targetField": name, "destinationType": "number"} for name in names]
    return [DataTransformerConfig(id_val="convertFieldType", options={"conversions": conversions})]


def _value_names(count: int) -> list[str]:
    """What Grafana calls the values of queries of a table: apart, where there are several."""
    if count == 1:
        return ["Value"]
    return [f"Value #{ref}" for ref in ascii_uppercase[:count]]


def _options(sort: str, descending: bool) -> table.Options:
    by = [common.TableSortByFieldState(display_name=sort, desc=descending)] if sort else []
    return table.Options(
        cell_height=common.TableCellHeight.SM,
        show_header=True,
        sort_by=by,
        footer=common.TableFooterOptions(show=False),
    )


def _config(columns: Sequence[Column], nothing: str) -> FieldConfigSource:
    return FieldConfigSource(
        defaults=FieldConfig(
            no_value=nothing,
            color=FieldColor(mode=FieldColorModeId.THRESHOLDS),
            thresholds=thresholds(((None, "text"),)),
            custom={"align": "auto", "filterable": True, "inspect": False},
        ),
        overrides=[each.override() for each in columns],
    )
