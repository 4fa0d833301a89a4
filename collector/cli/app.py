"""Every command of ``tonnage``, by name."""

from __future__ import annotations

from collections.abc import Callable, Mapping

import typer

from collector.cli import (
    audit,
    demo,
    experiments,
    fleet,
    hosts,
    pki,
    reports,
    runs,
    serve,
    stop_all,
    tokens,
)
from collector.cli.options import dialling

app = typer.Typer(
    name="tonnage",
    help="How many containers or virtual machines does each of your servers carry, how fast "
    "do they start, and what does each one cost?",
    epilog="""\b
Begin with:
  tonnage demo                                  containers beside VMs, here and now
  tonnage serve                                 then tonnage-agent, on the same host
  tonnage hosts                                 what each host can run, and why not
  tonnage run experiments/quick-compare.yaml    measure; Ctrl-C cancels
  tonnage report RUN -o report.html             the run as one page

\b
Every flag has an environment twin: TONNAGE_COLLECTOR, TONNAGE_OUTPUT, TONNAGE_SET,
TONNAGE_TLS_DIR, and TONNAGE_<COMMAND>_<FLAG>. TONNAGE_DEBUG=1 adds tracebacks to errors.
Exit codes: 0 done, 1 internal error, 2 invalid input, 5 partial,
6 instances leaked, 130 cancelled.""",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,
    context_settings={"auto_envvar_prefix": "TONNAGE", "help_option_names": ["-h", "--help"]},
)

for _command in (
    demo.demo,
    serve.serve,
    experiments.run,
    experiments.validate,
    runs.runs,
    runs.show,
    runs.watch,
    runs.cancel,
    runs.resume,
    reports.report,
    reports.export,
    hosts.hosts,
    hosts.drain,
    hosts.forget,
    fleet.launch,
    fleet.destroy,
    fleet.instances,
    fleet.clean,
    stop_all.stop_all,
    audit.audit,
    experiments.schema,
):
    app.command()(dialling(_command))


def _group(name: str, text: str, commands: Mapping[str, Callable[..., None]]) -> None:
    """Add commands under a common first word."""
    group = typer.Typer(name=name, help=text, no_args_is_help=True, rich_markup_mode=None)
    for word, command in commands.items():
        group.command(word)(dialling(command))
    app.add_typer(group)


_group(
    "pki",
    "Make the authority, issue certificates, list and revoke them.",
    {"init": pki.init, "issue": pki.issue, "show": pki.show, "revoke": pki.revoke},
)
_group(
    "token",
    "Make, list and end the tokens with which hosts join.",
    {"create": tokens.create, "list": tokens.show, "revoke": tokens.revoke},
)
