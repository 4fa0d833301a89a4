"""Every command of ``tonnage``, by name."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Annotated

import typer

from collector.cli import (
    audit,
    claims,
    demo,
    experiments,
    fleet,
    hosts,
    pki,
    prune,
    renewing,
    reports,
    runs,
    screen,
    serve,
    stop_all,
    store,
    tokens,
)
from collector.cli.options import dialling
from collector.cli.pages import Headed
from tonnage import __version__

app = typer.Typer(
    name="tonnage",
    cls=Headed,
    help="How many containers or virtual machines does each of your servers carry, how fast "
    "do they start, and what does each one cost?",
    epilog="""\b
For example:
  tonnage demo                                  containers beside VMs, here and now
  tonnage serve                                 then tonnage-agent, on the same host
  tonnage hosts                                 what each host can run, and why not
  tonnage run experiments/quick-compare.yaml    measure; Ctrl-C cancels
  tonnage report RUN -o report.html             the run as one page
  tonnage pki init                              certificates, for hosts elsewhere

\b
Every flag has an environment twin: TONNAGE_COLLECTOR, TONNAGE_OUTPUT, TONNAGE_SET,
TONNAGE_TLS_DIR, and TONNAGE_<COMMAND>_<FLAG>. TONNAGE_DEBUG=1 adds tracebacks to errors.
Exit codes: 0 done, 1 internal error, 2 invalid input, 3 a claim is refuted,
4 inconclusive, 5 partial, 6 instances leaked, 130 cancelled.""",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,
    context_settings={"auto_envvar_prefix": "TONNAGE", "help_option_names": ["-h", "--help"]},
)

_COMMANDS: Mapping[str, Sequence[Callable[..., None]]] = {
    "Begin": (demo.demo, serve.serve),
    "Experiments": (experiments.run, experiments.validate, experiments.schema),
    "Runs": (
        *(runs.runs, runs.watch, runs.show, reports.report, reports.export, claims.claims),
        *(runs.cancel, runs.resume, prune.prune),
    ),
    "Hosts": (hosts.hosts, hosts.drain, hosts.forget, stop_all.stop_all),
    "Instances by hand": (fleet.launch, fleet.instances, fleet.destroy, fleet.clean),
}
_BEGIN = "Begin"
_ACCESS = "Access"


def _tell_version(asked: bool) -> None:
    if asked:
        screen.put(f"tonnage {__version__}\n")
        raise typer.Exit


@app.callback()
def _begin(
    _version: Annotated[
        bool,
        typer.Option(
            "--version",
            callback=_tell_version,
            is_eager=True,
            allow_from_autoenv=False,
            help="Show the version and leave.",
        ),
    ] = False,
) -> None:
    """What comes before any command."""


for _heading, _commands in _COMMANDS.items():
    for _command in _commands:
        app.command(rich_help_panel=_heading)(dialling(_command))


def _group(
    name: str, text: str, commands: Mapping[str, Callable[..., None]], heading: str = _ACCESS
) -> None:
    """Add commands under a common first word."""
    group = typer.Typer(
        name=name, cls=Headed, help=text, no_args_is_help=True, rich_markup_mode=None
    )
    for word, command in commands.items():
        group.command(word)(dialling(command))
    app.add_typer(group, rich_help_panel=heading)


_group(
    "pki",
    "Make the authority, issue certificates, renew, list and revoke them.",
    {
        "init": pki.init,
        "issue": pki.issue,
        "renew": renewing.renew,
        "show": pki.show,
        "revoke": pki.revoke,
    },
)
_group(
    "token",
    "Make, list and end the tokens with which hosts join.",
    {"create": tokens.create, "list": tokens.show, "revoke": tokens.revoke},
)
_group("store", "Copy what a collector keeps into another store.", {"copy": store.copy}, _BEGIN)
app.command(rich_help_panel=_ACCESS)(dialling(audit.audit))
