"""Dashboards as files: written, and compared with what is there."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path

from grafana_foundation_sdk.cog.encoder import JSONEncoder
from grafana_foundation_sdk.models.dashboard import Dashboard

FOLDER = Path(__file__).parents[2] / "grafana" / "dashboards"
COMMAND = "python -m collector.dashboards"


def texts(dashboards: Sequence[Dashboard]) -> dict[str, str]:
    """Each file's name with what belongs into it."""
    return {f"{(each.uid or '').removeprefix('tonnage-')}.json": _text(each) for each in dashboards}


def write(wanted: Mapping[str, str], folder: Path) -> list[str]:
    """Have ``folder`` hold these dashboards and no others; the names that changed."""
    changed = stale(wanted, folder)
    folder.mkdir(parents=True, exist_ok=True)
    for name in changed:
        if name in wanted:
            (folder / name).write_text(wanted[name])
        else:
            (folder / name).unlink()
    return changed


def stale(wanted: Mapping[str, str], folder: Path) -> list[str]:
    """The names of files that are not what they would be, or should not be."""
    there = {path.name: path.read_text() for path in folder.glob("*.json")}
    return sorted(name for name in wanted.keys() | there if wanted.get(name) != there.get(name))


def _text(dashboard: Dashboard) -> str:
    plain = json.loads(json.dumps(dashboard, cls=JSONEncoder))
    return json.dumps(_without_placement(plain), indent=2, ensure_ascii=False) + "\n"


def _without_placement(value: object) -> object:
    """The library hides every link and annotation in a menu, which is not asked for."""
    if isinstance(value, dict):
        return {
            name: _without_placement(each)
            for name, each in value.items()
            if (name, each) != ("placement", "inControlsMenu")
        }
    return [_without_placement(each) for each in value] if isinstance(value, list) else value
