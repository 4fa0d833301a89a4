"""/sd/prometheus: where Prometheus finds the agents."""

from __future__ import annotations

from starlette.requests import Request
from starlette.responses import JSONResponse, Response

from collector.discovery import target_groups
from collector.fleet import Fleet
from collector.server.http import Page

PATH = "/sd/prometheus"


def page(fleet: Fleet) -> Page:
    """The page of what ``fleet`` holds at the moment it is asked for."""

    def answer(_: Request) -> Response:
        return JSONResponse(target_groups(fleet.hosts()))

    return answer
