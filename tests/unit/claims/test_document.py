"""All claims together: the document, its schema, its table, and the command's exit code."""

from __future__ import annotations

import json

import jsonschema
import pytest

from collector.claims import Claims, Seen, judge
from collector.claims.catalog import JUDGES
from collector.claims.rules import RULES, RULES_VERSION, as_document
from collector.claims.table import render_rules, text
from collector.cli.claims import outcome
from collector.errors import ExitCode
from collector.reports.export import rows
from collector.results import assemble
from tests.unit.claims.lesson import CONTAINER, FULL, MB, RUNC, cost, seen, spread, started
from tests.unit.reports.sample import sample_run


def a_run(container_ms: float = 30) -> Seen:
    footprint = [cost(RUNC, "pss", MB), cost(FULL, "pss", 160 * MB)]
    boots = started(FULL, spread(9000, 12), kernel_share=0.9)
    return seen(started(RUNC, spread(container_ms, 300)), boots, footprint=footprint)


def test_every_rule_has_a_judge_and_every_judge_a_rule() -> None:
    assert list(JUDGES) == list(RULES)


def test_each_claim_carries_the_rule_by_which_it_was_judged() -> None:
    judged = judge([a_run()])
    assert judged.rules_version == RULES_VERSION
    assert {claim.id: claim.rule for claim in judged.claims} == as_document().rules


def test_every_number_of_a_rule_is_told_in_its_words() -> None:
    for name, rule in RULES.items():
        told = rule.text.supported_if + rule.text.refuted_if
        assert "{" not in told, name
        assert all(f"{value:g}" in told for value in rule.numbers.values()), name


def test_a_run_without_evidence_is_inconclusive_and_no_error() -> None:
    judged = judge([seen()])
    assert {claim.verdict for claim in judged.claims} == {"inconclusive"}
    assert all("no evidence" in claim.reason for claim in judged.claims)


def test_what_was_not_measured_is_evidence_of_what_stays_open_and_of_nothing_else() -> None:
    judged = judge([a_run()], ["claims-memory is left out: no room."])
    assert judged.missing == ["claims-memory is left out: no room."]
    told = {claim.id for claim in judged.claims if set(judged.missing) <= set(claim.evidence)}
    assert told == {claim.id for claim in judged.claims if claim.verdict == "inconclusive"}
    assert text(judged).count("claims-memory is left out") == len(told) + 1


def test_a_whole_result_is_judged() -> None:
    data = sample_run(("h1", "h2"))
    judged = judge([Seen(assemble(data), [rows(row) for row in data.trials])])
    costs = next(claim for claim in judged.claims if claim.id == "C5")
    assert {row.host for row in costs.scope} == {"h1", "h2"}
    assert {row.runtime_class for row in costs.scope} == {"microVM"}
    assert costs.verdict == "inconclusive"  # no complete VM took part


def test_the_published_schema_validates_it() -> None:
    document = json.loads(judge([a_run()]).model_dump_json())
    schema = Claims.model_json_schema()
    jsonschema.Draft202012Validator.check_schema(schema)
    jsonschema.validate(document, schema)
    with pytest.raises(jsonschema.ValidationError):
        jsonschema.validate(document | {"surprise": 1}, schema)


def test_the_table_tells_verdict_reason_rule_and_every_part() -> None:
    shown = text(judge([a_run()]))
    assert "✓ C6 supported: A virtual machine's start is the boot" in shown
    assert "Refuted if the ratio's interval reaches 1" in shown
    assert "memory by PSS" in shown
    assert "149–172×" in shown


def test_the_table_fits_a_terminal() -> None:
    assert max(len(line) for line in text(judge([a_run()]), 100).splitlines()) <= 100


def test_the_rules_can_be_read_alone() -> None:
    shown = render_rules(as_document(), 80).plain
    assert all(f"\n{name}\n" in shown for name in RULES)
    assert "near-instant" not in shown  # a statement's word: rules speak in numbers
    assert "0.1 s" in shown


def test_the_worst_verdict_gives_the_exit_code() -> None:
    by_hand = judge([a_run()])
    good = [claim for claim in by_hand.claims if claim.verdict == "supported"]
    refuted = judge([a_run(300)])
    assert outcome(by_hand.model_copy(update={"claims": good})) is ExitCode.DONE
    assert outcome(by_hand) is ExitCode.INCONCLUSIVE
    assert outcome(refuted) is ExitCode.GATE_FAILED
    assert CONTAINER.runtime not in refuted.model_dump_json()
