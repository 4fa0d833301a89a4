"""The layers of every stack as a plain table."""

from __future__ import annotations

from collections.abc import Sequence

from collector.reports import figures
from collector.reports.grid import Column, Grid, right
from collector.reports.model import LayerRow
from collector.reports.names import Names
from collector.reports.stack_drawings import TABLE


def layer_grid(rows: Sequence[LayerRow], names: Names) -> Grid:
    """A row for each layer that has a figure; why the others have none the report says."""
    return Grid(
        "What one more instance stands on, from the host up (medians of time)",
        (Column("host"), Column("subject"), Column("layer"), *right("bytes", "time")),
        tuple(
            (
                *(row.host, names.of(row), TABLE[row.layer]),
                figures.size(row.bytes_per_instance),
                figures.seconds(row.seconds),
            )
            for row in rows
            if row.bytes_per_instance is not None or row.seconds is not None
        ),
    )
