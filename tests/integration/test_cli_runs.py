"""The command line with a real collector and a real agent: a run from file to report."""

import csv
import io
import json
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from subprocess import CompletedProcess

import jsonschema
import pytest

from collector.reports.model import Result
from tests.integration.servers import Started, agent, collector, tonnage

TEXT = """\
name: fakes
workload:
  image: fake:ok
  readiness: {log: TONNAGE READY}
  environment: {FAKE_READY_MS: 5, FAKE_JITTER_MS: 5}
targets:
  - {name: first, runtime: fake, memory: 64MiB}
  - {name: second, runtime: fake, memory: 128MiB}
startup: {trials: 8, warmup: 1, concurrency: [1, 2]}
density: {max_instances: 6, step: 2, settle: 0s}
footprint: {counts: [1, 2, 3], settle: 0s}
churn: {instances: 2, rate: 20, duration: 1s, readings: 3, settle: 0s}
"""

# Start-up alone.
LIGHT = ("--set", "density=null", "--set", "footprint=null", "--set", "churn=null")

Tonnage = Callable[..., CompletedProcess[str]]


@pytest.fixture(scope="module")
def served(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Started]:
    folder = tmp_path_factory.mktemp("servers")
    with collector(folder) as server, agent(folder, server.address):
        await_host(server.address)
        yield server


def await_host(address: str) -> None:
    deadline = time.monotonic() + 30
    while time.monotonic() < deadline:
        shown = tonnage("hosts", "--collector", address, "--output", "json")
        if shown.returncode == 0 and json.loads(shown.stdout):
            return
    pytest.fail("the agent did not register")


@pytest.fixture
def ask(served: Started) -> Tonnage:
    """``tonnage`` with the collector named in its environment."""

    def run(*arguments: str) -> CompletedProcess[str]:
        return tonnage(*arguments, TONNAGE_COLLECTOR=served.address)

    return run


@pytest.fixture
def spec(tmp_path: Path) -> str:
    path = tmp_path / "fakes.yaml"
    path.write_text(TEXT)
    return str(path)


@pytest.fixture(scope="module")
def finished(served: Started, tmp_path_factory: pytest.TempPathFactory) -> Result:
    path = tmp_path_factory.mktemp("spec") / "fakes.yaml"
    path.write_text(TEXT)
    shown = tonnage("run", str(path), "--output", "json", TONNAGE_COLLECTOR=served.address)
    assert shown.returncode == 0, shown.stderr
    return Result.model_validate_json(shown.stdout)


def test_a_run_ends_with_its_result(finished: Result) -> None:
    assert finished.run.state == "finished"
    assert finished.run.spec["targets"][0]["memory"] == "64MiB"
    totals = [row for row in finished.startup if row.phase == "total"]
    assert {(row.memory_bytes >> 20, row.concurrency, row.ready) for row in totals} == {
        (64, 1, 8),
        (64, 2, 8),
        (128, 1, 8),
        (128, 2, 8),
    }
    assert {row.stop_reason for row in finished.density} == {"max_instances"}
    assert {row.estimator for row in finished.footprint} >= {"mem_available", "pss"}
    assert [(row.ready, row.not_removed, row.died) for row in finished.churn] == [(20, 0, 0)] * 2
    assert not any(host.leaked for host in finished.hosts)


def test_show_prints_the_same_result_again(ask: Tonnage, finished: Result) -> None:
    shown = ask("show", finished.run.id, "--output", "json")
    assert Result.model_validate_json(shown.stdout) == finished


def test_a_result_fits_the_published_schema(ask: Tonnage, finished: Result) -> None:
    schema = json.loads(ask("schema", "--result").stdout)
    document = json.loads(ask("show", finished.run.id, "--output", "json").stdout)
    jsonschema.validate(document, schema)


def test_show_prints_tables_for_people(ask: Tonnage, finished: Result) -> None:
    shown = ask("show", finished.run.id)
    assert shown.returncode == 0
    assert "fake" in shown.stdout
    assert "\x1b" not in shown.stdout


def test_a_beginning_of_the_id_is_enough_if_it_is_unique(ask: Tonnage, finished: Result) -> None:
    assert ask("show", finished.run.id[:-1], "--output", "json").returncode == 0


def test_runs_are_listed_with_their_counts(ask: Tonnage, finished: Result) -> None:
    rows = json.loads(ask("runs", "--output", "json").stdout)
    (row,) = [row for row in rows if row["run_id"] == finished.run.id]
    assert (row["name"], row["state"], row["hosts"]) == ("fakes", "finished", ["h1"])
    assert row["trials"] >= 36
    assert finished.run.id in ask("runs").stdout


def test_watching_an_ended_run_ends_at_once(ask: Tonnage, finished: Result) -> None:
    shown = ask("watch", finished.run.id)
    assert (shown.returncode, shown.stdout) == (0, "")


def test_cancelling_an_ended_run_changes_nothing(ask: Tonnage, finished: Result) -> None:
    assert ask("cancel", finished.run.id).returncode == 0
    shown = ask("show", finished.run.id, "--output", "json")
    assert Result.model_validate_json(shown.stdout).run.state == "finished"


def test_an_export_has_every_trial(ask: Tonnage, finished: Result) -> None:
    rows = list(csv.DictReader(io.StringIO(ask("export", finished.run.id).stdout)))
    measured = [row for row in rows if row["population"] == "measured"]
    assert len(measured) == 32
    assert {row["outcome"] for row in measured} == {"ready"}
    assert all(int(row["destroyed_ns"]) >= int(row["ready_ns"]) > 0 for row in measured)
    as_json = json.loads(ask("export", finished.run.id, "--format", "json").stdout)
    assert len(as_json) == len(rows)


def test_a_report_is_one_page(ask: Tonnage, finished: Result, tmp_path: Path) -> None:
    page = tmp_path / "deep" / "report.html"
    shown = ask("report", finished.run.id, "-o", str(page))
    assert (shown.returncode, shown.stdout) == (0, "")
    assert finished.run.id in page.read_text()


def test_a_detached_run_is_watched_to_its_end(ask: Tonnage, spec: str) -> None:
    started = ask("run", spec, "--detach", *LIGHT)
    run_id = started.stdout.strip()
    assert ask("watch", run_id).returncode == 0


def test_a_detached_run_is_told_as_json_too(ask: Tonnage, spec: str) -> None:
    started = ask("run", spec, "--detach", "--output", "json", "--set", "density=null")
    run_id = json.loads(started.stdout)["run_id"]
    assert ask("cancel", run_id).returncode == 0


def test_hosts_tell_their_runtimes(ask: Tonnage) -> None:
    shown = ask("hosts")
    assert shown.returncode == 0
    assert "h1" in shown.stdout
    assert "fake" in shown.stdout


def test_an_instance_by_hand_lives_until_it_is_destroyed(ask: Tonnage) -> None:
    launched = json.loads(ask("launch", "fake", "fake:ok", "--output", "json").stdout)
    name = launched["instance"]["instance_id"]
    assert launched["trial"]["outcome"] == "ready"
    assert name in ask("instances").stdout
    assert ask("destroy", name).returncode == 0
    assert json.loads(ask("instances", "--output", "json").stdout) == []
    again = ask("destroy", name)
    assert again.returncode == 2
    assert name in again.stderr


def test_clean_removes_what_was_launched_by_hand(ask: Tonnage) -> None:
    launched = json.loads(ask("launch", "fake", "fake:ok", "--output", "json").stdout)
    (cleaned,) = json.loads(ask("clean", "--output", "json").stdout)
    assert cleaned["removed"] == [launched["instance"]["instance_id"]]
    assert json.loads(ask("instances", "--output", "json").stdout) == []
