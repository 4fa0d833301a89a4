"""Commands about experiment files: run one, check one, describe them."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from collector.cli.options import DEFAULT_COLLECTOR, Collector, Output, OutputOption, Overrides
from collector.endpoint import Endpoint

if TYPE_CHECKING:
    from collector.spec import HostSelection, Spec

SpecFile = Annotated[Path, typer.Argument(help="The experiment file (YAML); - is standard input.")]


def run(
    spec: SpecFile,
    overrides: Overrides = None,
    collector: Collector = DEFAULT_COLLECTOR,
    output: OutputOption = Output.TABLE,
    detach: Annotated[
        bool, typer.Option("--detach", "-d", help="Print the run's id and leave at once.")
    ] = False,
) -> None:
    """Run an experiment, show its progress, and print its result.

    Ctrl-C cancels the run, waits for its hosts to clean up, and keeps what was measured.

    \b
    For example:
      tonnage run experiments/startup.yaml
      tonnage run experiments/startup.yaml --set startup.trials=300 --output json
    """
    from collector.cli import interrupts

    experiment = load(spec, overrides or ())
    if detach:
        _print_id(interrupts.run(_submit(experiment, collector)), output)
        return
    raise typer.Exit(interrupts.run(_run(experiment, collector, output)))


def validate(
    spec: SpecFile, overrides: Overrides = None, output: OutputOption = Output.TABLE
) -> None:
    """Check an experiment file, and say what it would do."""
    from collector.cli import screen
    from collector.spec import EXPERIMENTS

    experiment = load(spec, overrides or ())
    if output is Output.JSON:
        screen.print_json(experiment.model_dump(mode="json"))
        return
    targets = [target.id for target in experiment.combinations()]
    kinds = [kind for kind in EXPERIMENTS if getattr(experiment, kind)]
    lines = [
        f"{experiment.name}: valid",
        f"  hosts     {_hosts(experiment.hosts)}",
        f"  begins    {_start(experiment.hosts)}",
        f"  targets   {', '.join(targets)}",
        f"  measures  {', '.join(kinds)}",
    ]
    if len(targets) > 1:
        lines.append(f"  baseline  {experiment.baseline_id}")
    screen.put("\n".join(lines) + "\n")


def _hosts(wanted: HostSelection) -> str:
    conditions = [f"label {name}={value}" for name, value in wanted.labels.items()]
    conditions += [f"where {wanted.where}"] if wanted.where else []
    who = ", ".join([*wanted.names, *conditions]) or "every healthy host"
    exactly = f"; exactly {wanted.expect}" if wanted.expect is not None else ""
    wait = f", waited for up to {wanted.wait:g} s" if wanted.wait else ""
    return f"{who}{exactly}{wait}"


def _start(wanted: HostSelection) -> str:
    if len(set(wanted.names)) == 1 or wanted.expect == 1:
        return "at once"
    if not wanted.barrier:
        return "each host by itself (hosts.barrier is 0 s)"
    return f"several hosts together (hosts.barrier is {wanted.barrier:g} s)"


def schema(
    result: Annotated[
        bool, typer.Option("--result", help="The schema of result.json instead.")
    ] = False,
    claims: Annotated[
        bool, typer.Option("--claims", help="The schema of the verdicts of tonnage claims.")
    ] = False,
) -> None:
    """Print the JSON Schema of experiment files, for editors.

    With --result: of result.json, which is what tonnage show --output json prints.
    With --claims: of what tonnage claims --output json prints.
    """
    from collector.cli import screen

    if claims:
        from collector.claims import Claims

        screen.print_json(Claims.model_json_schema())
    elif result:
        from collector.reports.model import Result

        screen.print_json(Result.model_json_schema())
    else:
        from collector.spec import json_schema

        screen.print_json(json_schema())


def load(path: Path, overrides: Sequence[str]) -> Spec:
    """Read and check an experiment file. Raises ``InvalidInput``."""
    from collector.cli import screen
    from collector.spec import parse

    source = Path("/dev/stdin") if str(path) == "-" else path
    return parse(screen.read_text(source, "experiment file"), overrides)


async def _submit(experiment: Spec, collector: Endpoint) -> str:
    from collector.cli import interrupts, submitting
    from collector.client import Client

    with interrupts.listening() as asked:
        async with Client(collector) as client:
            return await submitting.submit(client, experiment, asked)


def _print_id(run_id: str, output: Output) -> None:
    from collector.cli import screen

    if output is Output.JSON:
        screen.print_json({"run_id": run_id})
    else:
        screen.put(f"{run_id}\n")


async def _run(experiment: Spec, collector: Endpoint, output: Output) -> int:
    from collector.cli import follow, interrupts, progress, results, screen, submitting
    from collector.client import Client

    with interrupts.listening() as asked:
        async with Client(collector) as client:
            run_id = await submitting.submit(client, experiment, asked)
            screen.say(f"run {run_id}")
            last = await follow.follow(client, run_id, progress.display(), asked)
            result = await client.result(run_id)
    results.print_result(result, output)
    for line in follow.closing_lines(last, result):
        screen.say(line)
    return follow.outcome(last, result)
