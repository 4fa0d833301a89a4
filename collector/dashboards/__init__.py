"""Grafana's dashboards as code: a module a dashboard, written to ``grafana/dashboards``.

``python -m collector.dashboards`` writes them, ``--check`` says which are stale. This room is no
part of the wheel: it needs grafana-foundation-sdk, which is a developer's dependency.
"""

from __future__ import annotations

import importlib
import warnings

# The classic schema is what every Grafana since 9 reads; the library would rather have its newest.
with warnings.catch_warnings():
    warnings.simplefilter("ignore", DeprecationWarning)
    importlib.import_module("grafana_foundation_sdk.models.dashboard")
