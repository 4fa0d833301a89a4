"""HTTP service discovery for Prometheus."""

from __future__ import annotations

import json
import re
from dataclasses import replace
from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from collector.discovery import target_groups
from collector.views import HostInfo
from tests.runs_made_up import facts

# https://prometheus.io/docs/concepts/data_model/: names of labels.
_LABEL = re.compile(r"[a-zA-Z_][a-zA-Z0-9_]*")


def _host(name: str = "h1", state: str = "healthy", **changes: Any) -> HostInfo:
    labels = changes.pop("labels", {"rack": "r7"})
    values: dict[str, Any] = {
        "facts": replace(facts(name), labels=labels),
        "runtimes": (),
        "address": "10.0.0.1:7070",
        "metrics_address": "10.0.0.1:9095",
        "state": state,
        "last_seen_unix_ns": 0,
    }
    return HostInfo(**{**values, **changes})


def test_an_agent_is_a_target_with_what_can_be_relabelled() -> None:
    assert target_groups([_host(metrics_tls=True)]) == [
        {
            "targets": ["10.0.0.1:9095"],
            "labels": {
                "__scheme__": "https",
                "__meta_tonnage_host": "h1",
                "__meta_tonnage_state": "healthy",
                "__meta_tonnage_agent_version": "0.1.0",
                "__meta_tonnage_label_rack": "r7",
            },
        }
    ]
    assert target_groups([_host()])[0]["labels"]["__scheme__"] == "http"


def test_hosts_that_are_lost_or_serve_no_metrics_are_left_out() -> None:
    hosts = [
        _host("d", "draining"),
        _host("s", "suspect"),
        _host("gone", "lost"),
        _host("none", metrics_address=""),
        _host("socket", metrics_address="unix:/run/metrics"),
        _host("a"),
    ]
    found = [group["labels"]["__meta_tonnage_host"] for group in target_groups(hosts)]
    assert found == ["a", "d", "s"]


def test_labels_whose_names_become_one_do_not_depend_on_their_order() -> None:
    for labels in ({"a-b": "1", "a_b": "2", "a.b": "3"}, {"a.b": "3", "a_b": "2", "a-b": "1"}):
        assert target_groups([_host(labels=labels)])[0]["labels"]["__meta_tonnage_label_a_b"] == "2"
    labels = {"a.b": "3", "a-b": "1"}
    assert target_groups([_host(labels=labels)])[0]["labels"]["__meta_tonnage_label_a_b"] == "1"


@given(st.dictionaries(st.text(max_size=20), st.text(max_size=20), max_size=8))
def test_whatever_the_labels_prometheus_can_read_it(labels: dict[str, str]) -> None:
    groups = json.loads(json.dumps(target_groups([_host(labels=labels)])))
    assert [set(group) for group in groups] == [{"targets", "labels"}]
    for name, value in groups[0]["labels"].items():
        assert _LABEL.fullmatch(name)
        assert isinstance(value, str)


def test_no_host_is_an_empty_list_and_not_nothing() -> None:
    assert json.dumps(target_groups([])) == "[]"
