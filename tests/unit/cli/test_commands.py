"""The command line itself: its commands, its help, its streams, its exit codes."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
import typer.main

from collector.cli.app import app

ROOT = Path(__file__).parents[3]
HEADINGS = {
    "Begin": ("demo", "serve", "store"),
    "Experiments": ("run", "validate", "schema"),
    "Runs": (
        *("runs", "watch", "show", "report", "export", "claims"),
        *("cancel", "resume", "prune"),
    ),
    "Hosts": ("hosts", "drain", "forget", "stop-all"),
    "Instances by hand": ("launch", "instances", "destroy", "clean"),
    "Access": ("audit", "pki", "token"),
}
COMMANDS = tuple(command for commands in HEADINGS.values() for command in commands)


def tonnage(*arguments: str, **environment: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "collector.cli", *arguments],
        cwd=ROOT,
        env={**os.environ, **environment},
        capture_output=True,
        text=True,
        timeout=30,
    )


def test_help_names_every_command_under_its_heading() -> None:
    shown = tonnage("--help")
    assert shown.returncode == 0
    assert set(COMMANDS) == set(typer.main.get_command(app).commands)  # type: ignore[attr-defined]
    for heading, commands in HEADINGS.items():
        section = shown.stdout.split(f"\n{heading}:\n")[1].split("\n\n")[0]
        assert [line.split()[0] for line in section.splitlines() if line[2] != " "] == [*commands]


@pytest.mark.parametrize("group", ["--help", "pki", "token"])
def test_help_cuts_no_sentence_off(group: str) -> None:
    shown = tonnage(group)
    assert "Usage: tonnage" in shown.stdout + shown.stderr
    assert "..." not in (shown.stdout + shown.stderr).replace("[ARGS]...", "")


@pytest.mark.parametrize("command", COMMANDS)
def test_every_command_has_its_help(command: str) -> None:
    shown = tonnage(command, "--help")
    assert shown.returncode == 0
    assert shown.stdout.startswith(f"Usage: tonnage {command}")


def test_help_imports_nothing_heavy() -> None:
    """It is quick for this reason: clocks lie on a busy machine, imports do not."""
    probe = (
        "import sys; from collector.cli.app import app; "
        "print([m for m in ('grpc', 'rich', 'pydantic', 'numpy', 'yaml', 'asyncio') "
        "if m in sys.modules])"
    )
    shown = subprocess.run(
        [sys.executable, "-c", probe], cwd=ROOT, capture_output=True, text=True, timeout=30
    )
    assert shown.stdout == "[]\n"


@pytest.mark.parametrize(
    "arguments",
    [
        ["nonsense"],
        ["run"],
        ["runs", "--limit", "many"],
        ["show", "x", "--output", "xml"],
        ["validate", "experiments/absent.yaml"],
    ],
)
def test_wrong_usage_is_one_clear_message_and_exit_2(arguments: list[str]) -> None:
    shown = tonnage(*arguments)
    assert shown.returncode == 2
    assert shown.stdout == ""
    assert "rror" in shown.stderr
    assert "Traceback" not in shown.stderr


def test_a_wrong_experiment_is_told_on_standard_error(tmp_path: Path) -> None:
    path = tmp_path / "wrong.yaml"
    path.write_text("name: x\nworkloda: {}\n")
    shown = tonnage("validate", str(path), "--output", "json")
    assert shown.returncode == 2
    assert shown.stdout == ""
    assert "Did you mean workload?" in shown.stderr


def test_json_stands_alone_on_standard_output() -> None:
    shown = tonnage("validate", "experiments/quick-compare.yaml", "--output", "json")
    assert json.loads(shown.stdout)["name"] == "quick-compare"
    assert shown.stderr == ""


def test_flags_have_twins_in_the_environment() -> None:
    shown = tonnage("validate", "experiments/quick-compare.yaml", TONNAGE_OUTPUT="json")
    assert json.loads(shown.stdout)["name"] == "quick-compare"
    down = tonnage("runs", TONNAGE_COLLECTOR="127.0.0.1:1")
    assert "'127.0.0.1:1'" in down.stderr


@pytest.mark.parametrize("command", COMMANDS)
def test_every_flag_has_the_twin_that_help_promises(command: str) -> None:
    parameters = typer.main.get_command(app).commands[command].params  # type: ignore[attr-defined] # a group
    for parameter in parameters:
        flag = max(parameter.opts, key=len)
        if flag.startswith("--"):
            own = flag[2:].replace("-", "_").upper()
            twin = parameter.envvar or f"TONNAGE_{command.upper()}_{parameter.name.upper()}"
            shared = own in ("COLLECTOR", "OUTPUT", "SET", "TLS_DIR") and command != "serve"
            assert twin == (f"TONNAGE_{own}" if shared else f"TONNAGE_{command.upper()}_{own}")


def test_overrides_reach_the_experiment() -> None:
    path = "experiments/quick-compare.yaml"
    shown = tonnage("validate", path, "--set", "startup.trials=7", "--output", "json")
    assert json.loads(shown.stdout)["startup"]["trials"] == 7


@pytest.mark.parametrize("arguments", [["schema"], ["schema", "--result"]])
def test_schemas_are_json(arguments: list[str]) -> None:
    assert json.loads(tonnage(*arguments).stdout)["properties"]


@pytest.mark.parametrize(
    "arguments",
    [
        ["runs"],
        ["hosts"],
        ["show", "x"],
        ["watch", "x"],
        ["cancel", "x"],
        ["export", "x"],
        ["instances"],
        ["clean"],
        ["destroy", "x"],
        ["launch", "docker", "tonnage/idle:1"],
        ["run", "experiments/quick-compare.yaml"],
    ],
)
def test_a_collector_that_is_down_is_told_with_address_and_way_out(arguments: list[str]) -> None:
    shown = tonnage(*arguments, "--collector", "127.0.0.1:1")
    assert shown.returncode == 1
    assert shown.stdout == ""
    assert shown.stderr == (
        "error: --collector: the collector does not answer (got '127.0.0.1:1')\n"
        "  Start one with tonnage serve, or name another address.\n"
    )


def test_a_reader_that_leaves_is_no_error() -> None:
    command = f"{sys.executable} -m collector.cli schema | head -1; exit ${{PIPESTATUS[0]}}"
    shown = subprocess.run(
        ["bash", "-c", command], cwd=ROOT, capture_output=True, text=True, timeout=30
    )
    assert (shown.returncode, shown.stdout, shown.stderr) == (0, "{\n", "")


def test_an_output_that_is_full_is_told() -> None:
    with Path("/dev/full").open("w") as full:
        shown = subprocess.run(
            [sys.executable, "-m", "collector.cli", "schema"],
            cwd=ROOT,
            stdout=full,
            stderr=subprocess.PIPE,
            text=True,
            timeout=30,
        )
    assert shown.returncode == 2
    assert shown.stderr == "error: cannot write to standard output: No space left on device\n"
