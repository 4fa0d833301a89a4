"""Whether links lead somewhere: to a dashboard that exists, with variables that it has."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence

from deploy.observe.dashboards import Dashboard, Json
from deploy.observe.interpolation import names

_DASHBOARD = re.compile(r"(?:^|/)d/([^/?#$]+)")
_VARIABLE = re.compile(r"[?&]var-([^=&]+)=")
# What Grafana itself puts into a link: of the data clicked on, of the time, of everything.
_GIVEN = frozenset(
    ("__all_variables", "__data", "__field", "__series", "__url_time_range", "__value")
)


def problems(dashboard: Dashboard, all_of_them: Sequence[Dashboard]) -> list[str]:
    """What is wrong with the links of a dashboard, each in a sentence."""
    links = [*dashboard.links, *(link for panel in dashboard.panels() for link in panel.links())]
    return [found for link in links for found in _wrong(link, dashboard, all_of_them)]


def count(dashboard: Dashboard) -> int:
    """How many links it has."""
    return len(dashboard.links) + sum(len([*panel.links()]) for panel in dashboard.panels())


def _wrong(link: Json, here: Dashboard, all_of_them: Sequence[Dashboard]) -> Iterable[str]:
    if link.get("type") == "dashboards":
        tags = set(link.get("tags") or ())
        if not any(tags <= set(each.raw.get("tags") or ()) for each in all_of_them):
            yield f"link {link.get('title')!r}: no dashboard has the tags {sorted(tags)}"
        return
    url = str(link.get("url") or "")
    known = {variable["name"] for variable in here.variables}
    strange = {n for n in names(url) - known - _GIVEN if not n.startswith(("__from", "__to"))}
    if strange or not url:
        yield f"link {url!r}: nothing explains {', '.join(sorted(strange)) or 'it'}"
    if found := _DASHBOARD.search(url):
        yield from _wrong_target(url, found[1], all_of_them)


def _wrong_target(url: str, uid: str, all_of_them: Sequence[Dashboard]) -> Iterable[str]:
    there = next((each for each in all_of_them if each.uid == uid), None)
    if there is None:
        yield f"link {url!r}: there is no dashboard {uid}"
        return
    lacking = set(_VARIABLE.findall(url)) - {v["name"] for v in there.variables}
    if lacking:
        yield f"link {url!r}: {uid} has no variable {', '.join(sorted(lacking))}"
