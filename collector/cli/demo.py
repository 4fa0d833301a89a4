"""The command that shows it all: collector and agent in one, on this host."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from collector.cli.options import Output, OutputOption, Overrides


def demo(
    spec: Annotated[
        Path | None, typer.Argument(help="An experiment file; absent: quick-compare.")
    ] = None,
    overrides: Overrides = None,
    out: Annotated[
        Path,
        typer.Option(
            "--out", "-o", help="The folder for result.json, report.html, trials.csv and logs."
        ),
    ] = Path("build/demo"),
    runtimes: Annotated[
        str, typer.Option(help="Runtimes to offer, separated by commas.")
    ] = "docker,qemu-microvm",
    output: OutputOption = Output.TABLE,
) -> None:
    """Compare containers and VMs on this host, without any set-up.

    Starts a collector and an agent with a temporary store, runs the experiment,
    prints and writes its result, and leaves nothing running. Runtimes that this
    host lacks are left out, with a notice.

    \b
    For example:
      tonnage demo
      tonnage demo experiments/density.yaml --out build/density
      tonnage demo --set startup.trials=300 --runtimes docker
    """
    from collector.cli import embedded_run, interrupts
    from collector.cli.experiments import load

    experiment = load(spec or shipped("quick-compare.yaml"), overrides or ())
    ended = interrupts.run(embedded_run.run(experiment, out, runtimes, output))
    raise typer.Exit(ended)


def shipped(name: str) -> Path:
    """Return an experiment that came with Tonnage: from its package, or the checkout."""
    package = Path(__file__).parent.parent
    packaged = package / "experiments" / name
    return packaged if packaged.exists() else package.parent / "experiments" / name
