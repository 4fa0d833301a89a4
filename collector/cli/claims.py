"""The command that judges the claims of the lesson by what runs measured."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from collector.cli.options import DEFAULT_COLLECTOR, Collector, Output, OutputOption
from collector.endpoint import Endpoint
from collector.errors import ExitCode, InvalidInput

if TYPE_CHECKING:
    from collector.claims import Claims, Seen

EXPERIMENTS = (
    "claims.yaml",
    "claims-modes.yaml",
    "claims-distribution.yaml",
    "claims-systems.yaml",
    "claims-floor.yaml",
    "claims-memory.yaml",
    "claims-bridge.yaml",
    "claims-firmware.yaml",
)
"""What the claims need, in files that came with Tonnage; last what no verdict needs."""
EVERY_RUNTIME = "runc,containerd,docker,podman,docker-runsc,qemu-microvm,qemu-full"
EXITS = {"refuted": ExitCode.GATE_FAILED, "inconclusive": ExitCode.INCONCLUSIVE}


def claims(
    runs: Annotated[
        list[str] | None,
        typer.Argument(help="The runs' ids, or unique beginnings of them; with --here, files."),
    ] = None,
    rules: Annotated[
        bool, typer.Option("--rules", help="Print the rules, which are fixed, and judge nothing.")
    ] = False,
    here: Annotated[
        bool,
        typer.Option("--here", help="Run the experiments of the claims on this host first."),
    ] = False,
    out: Annotated[
        Path, typer.Option("--out", "-o", help="With --here: the folder for results and logs.")
    ] = Path("build/claims"),
    runtimes: Annotated[
        str, typer.Option(help="With --here: runtimes to offer, separated by commas.")
    ] = EVERY_RUNTIME,
    collector: Collector = DEFAULT_COLLECTOR,
    output: OutputOption = Output.TABLE,
) -> None:
    """Judge what is said of containers and VMs by what runs measured.

    Each claim is supported, refuted or inconclusive, by rules that were fixed beforehand.
    With --here it needs no set-up: as tonnage demo, it starts a collector and an agent,
    runs what the claims need (or the experiment files named), for 30 minutes at most, and
    leaves nothing running. What could not be run is told, and the rest is judged.

    \b
    For example:
      tonnage run experiments/claims.yaml
      tonnage claims 20261124-1dts2sy
      tonnage claims --here
    Exit codes: 0 all are supported, 3 one is refuted, 4 none is and one is inconclusive.
    """
    from collector.cli import interrupts

    if rules:
        _print_rules(output)
        return
    if here:
        judged, failed = _here([Path(run) for run in runs or ()], out, runtimes)
    elif runs:
        judged, failed = interrupts.run(_judge(collector, runs)), 0
    else:
        remedy = "Name a run that tonnage runs lists, or ask for --here or --rules."
        raise InvalidInput("is missing", field="RUN", remedy=remedy)
    print_claims(judged, output)
    raise typer.Exit(failed or outcome(judged))


def _here(files: Sequence[Path], out: Path, runtimes: str) -> tuple[Claims, int]:
    from collector.cli import embedded_claims, interrupts
    from collector.cli.demo import shipped
    from collector.cli.experiments import load

    experiments = [load(file, ()) for file in files or map(shipped, EXPERIMENTS)]
    return interrupts.run(embedded_claims.run(experiments, out, runtimes))


def print_claims(judged: Claims, output: Output) -> None:
    """Print verdicts for people, or the JSON document."""
    from collector.claims.table import render
    from collector.cli import screen

    if output is Output.JSON:
        screen.put(judged.model_dump_json(indent=2) + "\n")
    else:
        screen.put_styled(render(judged, screen.width()))


def outcome(judged: Claims) -> ExitCode:
    """Return the exit code of a judgement: that of its worst verdict."""
    verdicts = {claim.verdict for claim in judged.claims}
    return next((EXITS[bad] for bad in EXITS if bad in verdicts), ExitCode.DONE)


def _print_rules(output: Output) -> None:
    from collector.claims.rules import as_document
    from collector.claims.table import render_rules
    from collector.cli import screen

    if output is Output.JSON:
        screen.put(as_document().model_dump_json(indent=2) + "\n")
    else:
        screen.put_styled(render_rules(as_document(), screen.width()))


async def _judge(collector: Endpoint, runs: Sequence[str]) -> Claims:
    from collector.claims import judge

    return judge(await seen(collector, runs))


async def seen(collector: Endpoint, runs: Sequence[str]) -> list[Seen]:
    """Return the results and trials of runs."""
    from collector.claims import Seen
    from collector.cli import results
    from collector.client import Client

    async with Client(collector) as client:
        return [
            Seen(await client.result(run), await results.trial_rows(client, run)) for run in runs
        ]
