"""``python -m deploy.observe up|check``: the whole of it on this machine, for a Grafana or a proof.

Run it beside a container engine (``make observe`` and ``make observe-check`` do). ``up`` stays
until Ctrl-C. ``check`` writes ``result.json`` and exits 3 when a row fails. Either takes
everything down again.
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import signal
import sys
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

from benchmarks.report import tell
from collector.errors import TonnageError
from deploy.commands import CommandFailed
from deploy.observe import check, filling, scraping
from deploy.observe.check import Found
from deploy.observe.configuration import SCRAPE_SECONDS, NotAsShipped
from deploy.observe.dashboards import read
from deploy.observe.filling import HOSTS, Machine
from deploy.observe.prometheus import QueryFailed
from deploy.observe.stack import CHECKOUT, Stack, stack
from deploy.programs import ProgramFailed

_MOST_SECONDS = 1200.0
_HEALTHY_SECONDS = 60.0
_PATIENCE_SECONDS = 60.0
_FAILURES = (
    *(CommandFailed, NotAsShipped, ProgramFailed, QueryFailed, TonnageError),
    *(TimeoutError, OSError),
)


def main() -> int:
    """The command; its exit code."""
    parser = argparse.ArgumentParser(prog="python -m deploy.observe")
    parser.add_argument("what", choices=("up", "check"))
    parser.add_argument("--out", type=Path, default=CHECKOUT / "build" / "observe")
    arguments = parser.parse_args()
    out = arguments.out.resolve()
    signal.signal(signal.SIGTERM, signal.default_int_handler)  # all of it must come down
    work = _up(out) if arguments.what == "up" else _check(out)
    try:
        return asyncio.run(work)
    except KeyboardInterrupt:
        return 0 if arguments.what == "up" else 130
    except _FAILURES as error:
        logs = out / "logs"
        sys.stderr.write(f"observe: {str(error) or 'something took too long'}\n  logs: {logs}\n")
        return 1


@asynccontextmanager
async def _filled(out: Path) -> AsyncIterator[tuple[Stack, Machine, str]]:
    """Everything up, with something to see in it, most of all one run."""
    machine = Machine.here()
    _say("Starting PostgreSQL, a collector, three agents and Prometheus.\n")
    async with (
        stack(out, HOSTS, machine.flags(out), _quiet, filling.odd_gate(machine, out)) as made,
        filling.neighbours(machine, out),
    ):
        await filling.healthy(made, _HEALTHY_SECONDS)
        _say("Running experiments, so that there is something to see.\n")
        await filling.standing(made, machine)
        yield made, machine, await filling.experiments(made, machine, _say)


async def _up(out: Path) -> int:
    async with _filled(out) as (made, *_), filling.trickle(made):
        _say(_where(made))
        await asyncio.Event().wait()
    return 0


async def _check(out: Path) -> int:
    """What was proven by the time it must end is told, too."""
    began, found, limit = time.monotonic(), Found(), asyncio.timeout(_MOST_SECONDS)
    try:
        async with limit:
            await _prove(out, found)
    except TimeoutError:
        if not limit.expired():  # something within took too long
            raise
    seconds = time.monotonic() - began
    in_time = check.verdict("done in time", found=not limit.expired(), note=f"{seconds:.0f} s")
    rows = [*await found.rows(), in_time]
    tell(rows, "What operators look at, and what alerts them", out)
    _say(f"{seconds:.0f} s; all of it is taken down again.\n")
    return 0 if all(row.ok for row in rows) else 3


async def _prove(out: Path, found: Found) -> None:
    async with _filled(out) as (made, machine, run_id):
        found.rest.append(check.verdict("containers and VMs are both here", found=machine.whole))
        _say("\nProving the dashboards.\n")
        shown = read(check.DASHBOARDS)
        viewer = check.Viewer(made.sources, run_id, SCRAPE_SECONDS)
        async with filling.trickle(made):
            found.proofs = await viewer.sees(shown, _PATIENCE_SECONDS)
        found.rest += await check.recording_rules(made)
        found.rest.append(await scraping.scrapes(made))
        _say("\nMaking alerts fire.\n")
        await check.alerts(made, machine, _say, found.fired)
        found.proofs = check.better(found.proofs, await viewer.sees(shown, 0))


def _where(made: Stack) -> str:
    return f"""
All of it is up, and goes on until Ctrl-C:

  Prometheus   {made.prometheus.where["url"]}
  PostgreSQL   {made.store}
  collector    {made.address}, pages at https://{made.door}
               tonnage hosts --collector {made.address} --tls-dir {made.pki}
  logs         {made.folder / "logs"}

Point a Grafana on this machine at it: a data source of type Prometheus (scrape interval
{SCRAPE_SECONDS}s) and one of type PostgreSQL (TLS off) with these addresses; then import
grafana/dashboards/*.json, or let {CHECKOUT / "grafana" / "provisioning"}
do both. The rules are evaluated by Prometheus: {made.prometheus.where["url"]}/alerts
"""


def _say(text: str) -> None:
    with contextlib.suppress(BrokenPipeError):
        sys.stdout.write(text)
        sys.stdout.flush()


def _quiet(_: str) -> None:
    """What an operator would type is not the story here."""


if __name__ == "__main__":
    sys.exit(main())
