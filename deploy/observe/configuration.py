"""The shipped configuration of Prometheus and its rules, for programs on this machine.

Addresses, file names and how often one looks are replaced; jobs, relabelling, expressions,
labels and, but for ``hurried``, durations stay as they are shipped.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

SCRAPE_SECONDS = 2
_DISCOVERY = "/sd/prometheus"


class NotAsShipped(Exception):
    """The shipped configuration has something that cannot be carried over to loopback."""


@dataclass(frozen=True, slots=True)
class Places:
    """What takes the place of the shipped addresses and files. ``door`` is ``HOST:PORT``."""

    door: str
    authority: Path
    token: Path
    rules: Path


def on_loopback(shipped: str, places: Places, scrape_seconds: float = SCRAPE_SECONDS) -> str:
    """The shipped ``prometheus.yml`` for the collector at ``places.door``.

    Raises ``NotAsShipped``.
    """
    made = yaml.safe_load(shipped)
    often = f"{round(scrape_seconds * 1000)}ms"
    made["global"] = {
        **(made.get("global") or {}),
        "scrape_interval": often,
        "scrape_timeout": often,
        "evaluation_interval": often,
    }
    made["rule_files"] = [str(places.rules / "*.yml")]
    made.pop("alerting", None)
    made["scrape_configs"] = [_job(each, places) for each in made["scrape_configs"]]
    return yaml.safe_dump(made, sort_keys=False)


def _job(job: Mapping[str, Any], places: Places) -> dict[str, Any]:
    made: dict[str, Any] = _with_files(job, places)
    made.pop("scrape_interval", None)
    made.pop("scrape_timeout", None)
    for group in made.get("static_configs", []):
        if len(group["targets"]) != 1:
            raise NotAsShipped(f"job {job['job_name']}: one collector is known here")
        group["targets"] = [places.door]
    for discovery in made.get("http_sd_configs", []):
        if not discovery["url"].endswith(_DISCOVERY):
            raise NotAsShipped(f"job {job['job_name']}: {discovery['url']} is not {_DISCOVERY}")
        discovery["url"] = f"https://{places.door}{_DISCOVERY}"
        discovery["refresh_interval"] = "2s"
    return made


def _with_files(part: Any, places: Places) -> Any:
    files = {"ca_file": places.authority, "credentials_file": places.token}
    if isinstance(part, dict):
        return {
            name: str(files[name]) if name in files else _with_files(value, places)
            for name, value in part.items()
        }
    return [_with_files(each, places) for each in part] if isinstance(part, list) else part


def rules(folder: Path) -> list[dict[str, Any]]:
    """Every rule of every file in ``folder``."""
    files = (yaml.safe_load(path.read_text()) for path in sorted(folder.glob("*.yml")))
    return [rule for file in files for group in file["groups"] for rule in group["rules"]]


def copy_rules(shipped: Path, to: Path, *, hurried: bool = False) -> None:
    """The shipped rules, evaluated as often as is scraped.

    ``hurried``: an alert fires as soon as its condition holds, and stops with it, so that its
    cause need not last for the minutes that it takes a person to be told.
    """
    to.mkdir(parents=True, exist_ok=True)
    for path in sorted(shipped.glob("*.yml")):
        made = yaml.safe_load(path.read_text())
        for group in made["groups"]:
            group.pop("interval", None)
            for rule in group["rules"] if hurried else ():
                rule.pop("for", None)
                rule.pop("keep_firing_for", None)
        (to / path.name).write_text(yaml.safe_dump(made, sort_keys=False))
