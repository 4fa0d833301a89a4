"""Experiment files: what they may say, and how a mistake is told."""

import json
import re
from pathlib import Path

import jsonschema
import pytest
import yaml
from hypothesis import given, settings
from hypothesis import strategies as st

from collector.errors import InvalidInput
from collector.spec import json_schema, parse, tweaked
from tonnage.model import Mode

EXPERIMENTS = Path(__file__).parents[3] / "experiments"
EXAMPLES = sorted(EXPERIMENTS.glob("*.yaml"))

TEXT = """\
name: small
workload:
  image: tonnage/idle:1
  readiness: {log: TONNAGE READY}
targets:
  - runtime: docker
  - runtime: qemu-microvm
    memory: 128MiB
startup:
  trials: 40
"""


def refusal(text: str, *overrides: str) -> InvalidInput:
    with pytest.raises(InvalidInput) as caught:
        parse(text, overrides)
    return caught.value


@pytest.mark.parametrize("path", EXAMPLES, ids=lambda path: path.stem)
def test_every_example_is_valid(path: Path) -> None:
    spec = parse(path.read_text())
    assert spec.name == path.stem


@pytest.mark.parametrize("path", EXAMPLES, ids=lambda path: path.stem)
def test_every_example_names_the_schema_and_fits_it(path: Path) -> None:
    first_line = path.read_text().splitlines()[0]
    assert first_line == "# yaml-language-server: $schema=schema.json"
    jsonschema.validate(yaml.safe_load(path.read_text()), json_schema())


def test_the_committed_schema_is_fresh() -> None:
    committed = json.loads((EXPERIMENTS / "schema.json").read_text())
    assert committed == json_schema(), "run: tonnage schema > experiments/schema.json"


def test_every_field_is_described() -> None:
    for name, part in json_schema()["$defs"].items():
        for key, field in part.get("properties", {}).items():
            assert field.get("description"), f"{name}.{key}"


@pytest.mark.parametrize("path", EXAMPLES, ids=lambda path: path.stem)
def test_what_travels_is_what_was_read(path: Path) -> None:
    spec = parse(path.read_text())
    assert parse(spec.model_dump_json()) == spec


def test_what_travels_keeps_its_units() -> None:
    written = json.loads(parse(TEXT).model_dump_json())
    assert written["targets"][1]["memory"] == "128MiB"
    assert written["time_limit"] == "1h"


@pytest.mark.parametrize(
    ("override", "names"),
    [("hosts=null", ()), ("hosts=[h2, h1]", ("h2", "h1")), ("hosts={names: [h1]}", ("h1",))],
)
def test_hosts_are_a_list_of_names_or_conditions(override: str, names: tuple[str, ...]) -> None:
    spec = parse(TEXT, [override])
    assert spec.hosts.names == names
    assert parse(spec.model_dump_json()) == spec
    jsonschema.validate(json.loads(spec.model_dump_json()), json_schema())


@pytest.mark.parametrize(
    ("override", "field", "said"),
    [
        ("hosts=[h1, h 2]", "hosts[1]", "not written as it must be"),
        ("hosts={names: []}", "hosts.names", "names no host"),
        ("hosts=h1", "hosts", "is neither a list of names nor a mapping"),
        ("hosts.names=h1", "hosts.names", "should be a list"),
        ("hosts.where=cpu > 4", "hosts.where", "no such name: cpu, at character 1"),
        ("hosts={names: [h1], expect: 2}", "hosts.expect", "expects more hosts than the 1"),
        ("hosts.expect=0", "hosts.expect", "greater than or equal to 1"),
        ("hosts.wait=2h", "hosts.wait", "outside of 0s to 1h"),
        ("hosts.label={rack: a}", "hosts.label", "unknown key"),
    ],
)
def test_what_is_wrong_with_hosts_is_told_where_it_stands(
    override: str, field: str, said: str
) -> None:
    problem = refusal(TEXT, override).problem
    assert problem.field == field
    assert said in problem.message


def test_an_unknown_key_is_told_with_its_line_and_a_guess() -> None:
    problem = refusal(TEXT.replace("memory:", "memry:")).problem
    assert problem.field == "targets[1].memry"
    assert problem.message == "unknown key, line 8"
    assert problem.value == "128MiB"
    assert problem.remedy.startswith("Did you mean memory?")


def test_a_wrong_unit_is_told_with_field_value_and_units() -> None:
    problem = refusal(TEXT.replace("128MiB", "128MB")).problem
    assert (problem.field, problem.value) == ("targets[1].memory", "128MB")
    assert "B, KiB, MiB, GiB, TiB" in problem.remedy


def test_every_problem_is_told_at_once() -> None:
    text = str(refusal(TEXT.replace("128MiB", "128MB").replace("trials", "trails")))
    assert "3 problems" in text
    for field in ("targets[1].memory", "startup.trails", "startup.trials"):
        assert field in text


@pytest.mark.parametrize(
    ("override", "field"),
    [
        ("startup.trials=many", "startup.trials"),
        ("startup.trials=true", "startup.trials"),
        ("startup.trials=0", "startup.trials"),
        ("startup.concurrency=[]", "startup.concurrency"),
        ("targets=[]", "targets"),
        ("name=Has Spaces", "name"),
        ("compare.baseline=podman", "compare.baseline"),
        ("startup.per_target.podman.trials=1", "startup.per_target.podman"),
        ("targets.1.mode=hot", "targets[1].mode"),
        ("targets.1.workload=other", "targets[1].workload"),
        ("targets.1.runtime=docker", "targets[1]"),
        ("workload.readiness={}", "workload.readiness"),
        ("workload.readiness.tcp={port: 80}", "workload.readiness"),
        ("workload.readiness={http: {port: 70000}}", "workload.readiness.http.port"),
        ("workload.image=--privileged", "workload.image"),
        ("footprint.counts=[4, 2]", "footprint"),
        ("hosts=[]", "hosts"),
        ("startup=null", ""),
    ],
)
def test_a_wrong_value_names_its_field(override: str, field: str) -> None:
    assert refusal(TEXT, override).problem.field == field


@pytest.mark.parametrize(
    ("overrides", "field", "says"),
    [
        (["density.max_instances=9"], "targets[1].mode", "density"),
        (["footprint.counts=[1, 2]"], "targets[1].mode", "footprint"),
        (["startup.concurrency=[1, 4]"], "startup.concurrency", "one at a time"),
    ],
)
def test_cold_starts_have_a_host_to_themselves(overrides: list[str], field: str, says: str) -> None:
    cold = "targets.1.mode=cold"
    problem = refusal(TEXT, cold, *overrides).problem
    assert (problem.field, says in problem.message) == (field, True)
    assert "a file of its own" in problem.remedy
    assert parse(TEXT, [cold]).targets[1].mode == (Mode.COLD,)


@pytest.mark.parametrize(
    ("override", "field"),
    [
        ('workload.readiness={log: "READY\\n"}', "workload.readiness.log"),
        (
            'workload.health={console: {ask: ping, answer: "po\\nng"}}',
            "workload.health.console.answer",
        ),
    ],
)
def test_a_text_that_no_line_can_hold_is_refused(override: str, field: str) -> None:
    problem = refusal(TEXT, override).problem
    assert problem.field == field
    assert problem.message == "is more than one line"
    assert "without line breaks" in problem.remedy


@pytest.mark.parametrize("answer", ["ping", "in"])
def test_an_answer_that_may_be_the_echo_of_its_ask_is_refused(answer: str) -> None:
    check = f"workload.health={{console: {{ask: ping, answer: {answer}}}}}"
    problem = refusal(TEXT, check).problem
    assert (problem.field, problem.value) == ("workload.health.console.answer", answer)
    assert "echo" in problem.message
    assert "pong" in problem.remedy


def test_an_override_replaces_and_adds_values() -> None:
    overrides = ["startup.trials=5", "targets.0.memory=64MiB", "density.max_instances=7"]
    spec = parse(TEXT, overrides)
    assert spec.startup is not None
    assert spec.startup.trials == 5
    assert spec.targets[0].memory == (64 * 2**20,)
    assert spec.density is not None
    assert spec.density.max_instances == 7


def test_a_list_whose_only_item_is_wrong_is_not_called_empty_as_well() -> None:
    text = TEXT.replace("  - runtime: docker\n", "").replace("128MiB", "1XB")
    assert refusal(text).problem.field == "targets[0].memory"
    assert "at least 1" in str(refusal(TEXT, "targets=[]"))


def test_a_problem_of_an_override_names_no_line_of_the_file() -> None:
    assert "line" not in refusal(TEXT, "startup.trials=x").problem.message


@pytest.mark.parametrize("override", ["trials", "=4", "a..b=1", "targets.7.memory=1", "name.x=1"])
def test_an_override_that_leads_nowhere_is_refused(override: str) -> None:
    problem = refusal(TEXT, override).problem
    assert (problem.field, problem.value) == ("--set", override)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "not a mapping"),
        ("- a", "not a mapping"),
        ("name: [", "not valid YAML, line"),
        ("name: a\nname: b", "the same key twice, lines 1 and 2"),
        ("name: &x a\ndescription: *x", "anchors and aliases"),
        ("name: !!python/object:os.system x", "not valid YAML"),
        ("[" * 5000, "levels deep"),
        ("{" * 5000, "levels deep"),
        ('{"name": NaN}', ""),
        ("name: " + "x" * 200_000, "longer than"),
        ("name: \x00", "not valid YAML"),
    ],
)
def test_text_that_is_no_experiment_is_refused(text: str, message: str) -> None:
    assert message in str(refusal(text))


@settings(max_examples=60, deadline=None)
@given(st.text(max_size=200) | st.binary(max_size=200).map(lambda data: data.decode("latin-1")))
def test_no_text_brings_down_the_reader(text: str) -> None:
    with pytest.raises(InvalidInput):
        parse(text)


def test_lists_are_factors_and_every_combination_is_a_target() -> None:
    spec = parse(TEXT, ["targets.1.memory=[64MiB, 128MiB]", "targets.1.cpus=[1, 2]"])
    ids = [target.id for target in spec.combinations()]
    assert ids == ["docker", *(f"qemu-microvm-{m}-{c}" for m in ("64m", "128m") for c in CPUS)]


CPUS = ("1cpu", "2cpu")


def test_a_name_that_means_several_targets_is_no_baseline() -> None:
    overrides = ["targets.1.memory=[64MiB, 128MiB]", "compare.baseline=qemu-microvm"]
    problem = refusal(TEXT, *overrides).problem
    assert problem.remedy == "Choose one of qemu-microvm-64m, qemu-microvm-128m."


def test_the_first_target_is_the_baseline_unless_one_is_named() -> None:
    assert parse(TEXT).baseline_id == "docker"
    assert parse(TEXT, ["compare.baseline=qemu-microvm"]).baseline_id == "qemu-microvm"


def test_a_tweak_by_name_outweighs_one_by_runtime() -> None:
    spec = parse(
        TEXT,
        [
            "targets.1.name=vm",
            "startup.per_target={qemu-microvm: {trials: 2}, vm: {trials: 3}}",
        ],
    )
    assert spec.startup is not None
    trials = [
        tweaked(spec.startup, spec.startup.per_target, target).trials
        for target in spec.combinations()
    ]
    assert trials == [40, 3]


def test_each_target_chooses_among_several_workloads() -> None:
    several = TEXT.replace("workload:\n", "workloads:\n idle:\n").replace("tonnage/idle:1", "idle")
    assert "chooses no workload" in str(refusal(several))
    spec = parse(several, ["targets.0.workload=idle", "targets.1.workload=idle"])
    assert [target.workload for target in spec.combinations()] == ["idle", "idle"]


def test_numbers_in_command_and_environment_are_text() -> None:
    spec = parse(TEXT, ["workload.environment={PORT: 8080}", "workload.command=[sleep, 5]"])
    assert spec.workload is not None
    assert spec.workload.environment == {"PORT": "8080"}
    assert spec.workload.command == ("sleep", "5")


def test_the_experiment_of_the_readme_is_valid_with_the_hosts_it_shows_further_down() -> None:
    readme = (EXPERIMENTS.parent / "README.md").read_text()
    experiment, hosts = re.findall(r"```yaml\n(.*?)```", readme, re.DOTALL)
    assert parse(experiment).name == "my-service"
    assert parse(experiment + hosts).hosts.expect == 3


def test_a_key_that_looks_like_a_mark_of_the_validators_is_an_unknown_key() -> None:
    with pytest.raises(InvalidInput, match=r"\[key\]: unknown key"):
        parse('{"[key]": null}')


ISOLATED = ["isolation.instances=3", "startup=null"]


def test_isolation_asks_a_workload_with_a_console() -> None:
    spec = parse(TEXT, [*ISOLATED, "workload.health={console: {ask: ping, answer: pong}}"])
    assert spec.isolation is not None
    assert spec.isolation.instances == 3


@pytest.mark.parametrize(
    ("overrides", "field"),
    [
        (ISOLATED, "workload"),
        ([*ISOLATED, "workload.health={http: {port: 80}}"], "workload"),
    ],
)
def test_a_workload_that_cannot_be_asked_is_refused_with_the_way_out(
    overrides: list[str], field: str
) -> None:
    problem = refusal(TEXT, *overrides).problem
    assert problem.field == field
    assert "isolation cannot ask" in problem.message
    assert "tonnage/idle:1" in problem.remedy
