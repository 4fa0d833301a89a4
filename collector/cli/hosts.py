"""Commands about hosts: list them, drain them, forget them."""

from __future__ import annotations

from collections.abc import Sequence
from enum import StrEnum
from typing import TYPE_CHECKING, Annotated

import typer

from collector.cli.asking import ask
from collector.cli.options import DEFAULT_COLLECTOR, Collector, Output, OutputOption

if TYPE_CHECKING:
    from collector.client import Client
    from collector.views import HostInfo, Inventory
    from tonnage.model import Fingerprint

HostName = Annotated[str, typer.Argument(help="The host's name.", metavar="HOST")]


class State(StrEnum):
    """What a host can be."""

    HEALTHY = "healthy"
    DRAINING = "draining"
    SUSPECT = "suspect"
    LOST = "lost"


def hosts(
    state: Annotated[
        list[State] | None,
        typer.Option(
            "--state",
            metavar="STATE",
            help="Only healthy, draining, suspect or lost hosts; repeatable.",
        ),
    ] = None,
    label: Annotated[
        list[str] | None,
        typer.Option("--label", metavar="NAME=VALUE", help="Only hosts with it; repeatable."),
    ] = None,
    runtime: Annotated[
        list[str] | None,
        typer.Option("--runtime", metavar="NAME", help="Only hosts that can use it; repeatable."),
    ] = None,
    where: Annotated[
        str,
        typer.Option(
            "--where",
            metavar="EXPRESSION",
            help='Only hosts of which this holds, as in experiment files: "cpus >= 4".',
        ),
    ] = "",
    wide: Annotated[bool, typer.Option("--wide", help="More columns.")] = False,
    collector: Collector = DEFAULT_COLLECTOR,
    output: OutputOption = Output.TABLE,
) -> None:
    """List the hosts, what each can run, and why not.

    \b
    For example:
      tonnage hosts --state healthy --label rack=a --where "memory >= 8 * GiB"
    """
    from collector.cli import screen
    from collector.cli.hostlist import Filters, columns, row

    filters = Filters.read(state or (), label or (), runtime or (), where)
    inventory = ask(collector, lambda client: client.inventory())
    found = filters.apply(inventory.hosts)
    if output is Output.JSON:
        screen.print_rows(found)
        return
    table = [row(host, inventory.collector_version, wide=wide) for host in found]
    screen.print_table(columns(wide=wide), table, _nothing(inventory))
    _print_runtimes(found)
    _note_skew(found, inventory.collector_version)


def drain(
    host: HostName,
    undo: Annotated[bool, typer.Option("--undo", help="Take it back in.")] = False,
    wait: Annotated[
        bool, typer.Option("--wait", help="Wait until the run it works on has left it.")
    ] = False,
    collector: Collector = DEFAULT_COLLECTOR,
) -> None:
    """Take a host out of new runs, or back in. What it is doing goes on."""
    from collector.cli import screen
    from collector.errors import InvalidInput

    if undo and wait:
        remedy = "Leave one out: a host that is taken back in need not be empty."
        raise InvalidInput("cannot be said beside --undo", field="--wait", remedy=remedy)
    if undo:
        ask(collector, lambda client: client.drain(host, undo=True))
        screen.say(f"{host} takes new runs")
        return
    active = ask(collector, lambda client: client.drain(host))
    goes_on = f"; run {active} goes on there" if active else "; nothing runs there"
    screen.say(f"{host} takes no new run{goes_on}")
    if active and wait:
        ask(collector, lambda client: _left(client, host, active))
        screen.say(f"{host} is empty")


def forget(host: HostName, collector: Collector = DEFAULT_COLLECTOR) -> None:
    """Drop a host that is lost or never came back from the inventory.

    Its runs stay. It is back when its agent registers again.
    """
    from collector.cli import screen

    ask(collector, lambda client: client.forget(host))
    screen.say(f"forgot {host}")


async def _left(client: Client, host: str, run_id: str) -> None:
    """Wait until no run works on the host; watching a run asks for nothing new."""
    active = run_id
    while active:
        async for progress in client.watch(active):
            mine = [each for each in progress.hosts if each.host == host]
            if all(each.state.ended for each in mine):
                break
        active = await client.drain(host)


def _nothing(inventory: Inventory) -> str:
    from collector.suitability import NO_HOST_REMEDY

    if inventory.hosts:
        return f"none of {len(inventory.hosts)} hosts fits"
    return f"no host has registered\n  {NO_HOST_REMEDY}"


def _print_runtimes(found: Sequence[HostInfo]) -> None:
    from collector.cli import screen

    rows = runtime_rows(found)
    if rows:
        screen.put("\n")
        screen.print_table(("HOST", "RUNTIME", "STATE", "VERSION", "WHY"), rows, "")


def runtime_rows(found: Sequence[HostInfo]) -> Sequence[tuple[object, ...]]:
    """Each host's runtimes; of many hosts, one row for all that say the same."""
    from collector.cli.overview import FEW
    from collector.suitability import few

    if len(found) <= FEW:
        return [(host.facts.host, *_told(each)) for host in found for each in host.runtimes]
    same: dict[tuple[object, ...], list[str]] = {}
    for host in found:
        for each in host.runtimes:
            same.setdefault(_told(each), []).append(host.facts.host)
    return [
        (few(names) if len(names) <= FEW else f"{len(names)} hosts", *told)
        for told, names in same.items()
    ]


def _told(runtime: Fingerprint) -> tuple[object, ...]:
    """A runtime that cannot launch says why; one that runs VMs, by what their code runs."""
    from tonnage.model import Accelerator, RuntimeState

    why = runtime.reason
    if runtime.state is RuntimeState.HEALTHY:
        proof = f": {runtime.accelerator_proof}" if runtime.accelerator_proof else ""
        virtual = runtime.accelerator is not Accelerator.NONE
        why = f"{runtime.accelerator.upper()}{proof}" if virtual else ""
    return (runtime.runtime, runtime.state, runtime.version or "-", why)


def _note_skew(found: Sequence[HostInfo], collector_version: str) -> None:
    from collector.cli import screen

    others = sum(host.facts.agent_version != collector_version for host in found)
    if others:
        screen.say(
            f"* {others} of {len(found)} agents are not of the collector's version,"
            f" {collector_version}"
        )
