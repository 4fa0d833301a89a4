"""A dashboard's JSON: its panels, what they ask, its variables, annotations and links."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

Json = Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class Panel:
    """One panel as it is written."""

    raw: Json

    @property
    def kind(self) -> str:
        """The visualisation."""
        return str(self.raw.get("type", ""))

    @property
    def title(self) -> str:
        """As written, variables and all; a panel without one is told by its number."""
        return str(self.raw.get("title") or f"panel {self.raw.get('id')}")

    @property
    def options(self) -> Json:
        """The visualisation's options."""
        return dict(self.raw.get("options") or {})

    @property
    def targets(self) -> list[Json]:
        """The queries that are not switched off."""
        return [each for each in self.raw.get("targets") or [] if not each.get("hide")]

    @property
    def transformations(self) -> list[Json]:
        """Those that are not switched off, in order."""
        return [each for each in self.raw.get("transformations") or [] if not each.get("disabled")]

    @property
    def points(self) -> int:
        """How many points it asks for: what is set, else its width on a wide screen."""
        width = int((self.raw.get("gridPos") or {}).get("w", 12))
        return int(self.raw.get("maxDataPoints") or width * 70)

    def links(self) -> Iterator[Json]:
        """Its own links and those of its data."""
        yield from self.raw.get("links") or []
        config = self.raw.get("fieldConfig") or {}
        yield from (config.get("defaults") or {}).get("links") or []
        for override in config.get("overrides") or []:
            for each in override.get("properties") or []:
                if each.get("id") == "links":
                    yield from each.get("value") or []


@dataclass(frozen=True, slots=True)
class Dashboard:
    """One dashboard as it is written."""

    raw: Json

    @property
    def uid(self) -> str:
        """What links name it by."""
        return str(self.raw.get("uid") or "")

    @property
    def variables(self) -> list[Json]:
        """In the order in which they are resolved."""
        return list((self.raw.get("templating") or {}).get("list") or [])

    @property
    def annotations(self) -> list[Json]:
        """Those with a query; Grafana's own are not among them."""
        found = (self.raw.get("annotations") or {}).get("list") or []
        return [each for each in found if not each.get("builtIn") and each.get("enable", True)]

    @property
    def links(self) -> list[Json]:
        """Those at its top."""
        return list(self.raw.get("links") or [])

    def panels(self) -> Iterator[Panel]:
        """Every panel, those within collapsed rows too; the rows themselves are none."""
        for raw in self.raw.get("panels") or []:
            if raw.get("type") == "row":
                yield from map(Panel, raw.get("panels") or [])
            else:
                yield Panel(raw)


def read(folder: Path) -> list[Dashboard]:
    """Every dashboard of a folder, by file name."""
    return [Dashboard(json.loads(path.read_text())) for path in sorted(folder.glob("*.json"))]
