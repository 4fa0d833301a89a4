"""The shipped configuration of Prometheus comes to loopback with nothing else changed."""

from __future__ import annotations

from pathlib import Path

import pytest
import yaml

from deploy.observe.causes import BY_ALERT
from deploy.observe.configuration import NotAsShipped, Places, copy_rules, on_loopback, rules
from deploy.observe.rules import alerts, cases
from deploy.observe.stack import SHIPPED

PLACES = Places("127.0.0.1:7", Path("/pki/ca.pem"), Path("/pki/scrape.token"), Path("/rules"))
SHIPPED_TEXT = (SHIPPED / "prometheus.yml").read_text()
LONG_ENOUGH_FOR_PROMTOOL_ALONE = {"TonnageStartP95Regression"}


def test_addresses_files_and_intervals_are_replaced() -> None:
    made = yaml.safe_load(on_loopback(SHIPPED_TEXT, PLACES, 2))
    assert made["global"]["scrape_interval"] == "2000ms"
    assert made["rule_files"] == ["/rules/*.yml"]
    collector, agents = made["scrape_configs"]
    assert collector["static_configs"] == [{"targets": ["127.0.0.1:7"]}]
    (discovery,) = agents["http_sd_configs"]
    assert discovery["url"] == "https://127.0.0.1:7/sd/prometheus"
    for part in (collector, agents, discovery):
        assert part["authorization"]["credentials_file"] == "/pki/scrape.token"
        assert part["tls_config"]["ca_file"] == "/pki/ca.pem"


def test_jobs_relabelling_and_the_server_s_name_stay() -> None:
    shipped = yaml.safe_load(SHIPPED_TEXT)["scrape_configs"]
    made = yaml.safe_load(on_loopback(SHIPPED_TEXT, PLACES))["scrape_configs"]
    for was, is_now in zip(shipped, made, strict=True):
        assert was["job_name"] == is_now["job_name"]
        assert was["tls_config"]["server_name"] == is_now["tls_config"]["server_name"]
        assert was.get("relabel_configs") == is_now.get("relabel_configs")


def test_a_discovery_that_is_not_the_collector_s_is_refused() -> None:
    changed = SHIPPED_TEXT.replace("/sd/prometheus", "/elsewhere")
    with pytest.raises(NotAsShipped, match="tonnage-agent"):
        on_loopback(changed, PLACES)


def test_copied_rules_keep_expressions_labels_and_durations(tmp_path: Path) -> None:
    copy_rules(SHIPPED / "rules", tmp_path)
    assert rules(tmp_path) == rules(SHIPPED / "rules")


def test_hurried_rules_differ_in_durations_alone(tmp_path: Path) -> None:
    copy_rules(SHIPPED / "rules", tmp_path, hurried=True)
    assert not any("for" in rule or "keep_firing_for" in rule for rule in rules(tmp_path))
    patient = [
        {k: v for k, v in rule.items() if k not in ("for", "keep_firing_for")}
        for rule in rules(SHIPPED / "rules")
    ]
    assert rules(tmp_path) == patient


def test_every_alert_has_a_cause_or_takes_longer_than_minutes() -> None:
    assert set(alerts()) - BY_ALERT.keys() == LONG_ENOUGH_FOR_PROMTOOL_ALONE
    assert BY_ALERT.keys() <= set(alerts())


@pytest.mark.parametrize("alert", sorted(set(alerts())))
def test_promtool_has_every_alert_fire_and_be_silent(alert: str) -> None:
    fires, silent = cases(alert)
    assert fires > 0
    assert silent > 0
