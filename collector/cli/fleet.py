"""Commands about single instances, by hand."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict
from typing import TYPE_CHECKING, Annotated, TypeVar

import typer

from collector.cli.asking import ask
from collector.cli.options import DEFAULT_COLLECTOR, Collector, Host, Output, OutputOption

if TYPE_CHECKING:
    from collector.views import Launched

T = TypeVar("T")


def launch(
    runtime: Annotated[
        str,
        typer.Argument(help="Such as docker or qemu-microvm; tonnage hosts shows what there is."),
    ],
    image: Annotated[str, typer.Argument(help="The image's reference on the host.")],
    host: Annotated[str, typer.Option(help="The host; needed when there are several.")] = "",
    memory: Annotated[
        str, typer.Option(help="A container's limit, or a VM's RAM: 64MiB, 1GiB.")
    ] = "128MiB",
    cpus: Annotated[int, typer.Option(min=1, max=1024, help="CPUs.")] = 1,
    network: Annotated[str, typer.Option(help="none, bridge or user.")] = "none",
    variant: Annotated[str, typer.Option(help="A profile of the runtime; absent: its first.")] = "",
    ready: Annotated[
        str, typer.Option(help="Ready when a console line contains this.")
    ] = "TONNAGE READY",
    timeout: Annotated[
        str, typer.Option(help="How long it may take to be ready: 500ms, 20s, 2m.")
    ] = "60s",
    collector: Collector = DEFAULT_COLLECTOR,
    output: OutputOption = Output.TABLE,
) -> None:
    """Launch one instance by hand and wait until it is ready.

    Prints its id. It stays until tonnage destroy, tonnage clean, or the end of its agent.

    \b
    For example:
      tonnage launch docker tonnage/idle:1
      tonnage launch docker nginx:1.27 --ready "start worker process" --timeout 20s
      tonnage launch qemu-microvm tonnage/idle:1 --memory 256MiB --host h1
    """
    from collector.cli import byhand, screen

    order = byhand.Order(
        runtime=runtime,
        image=image,
        memory=memory,
        cpus=cpus,
        network=network,
        variant=variant,
        ready=ready,
        timeout=timeout,
    )
    launched = ask(collector, lambda client: byhand.launch(client, order, host))
    if output is Output.JSON:
        screen.print_json(asdict(launched))
    else:
        screen.put(f"{launched.instance.instance_id}\n")
        screen.say(_launch_line(launched))


def destroy(
    instance: Annotated[str, typer.Argument(help="The instance's id.")],
    host: Host = "",
    collector: Collector = DEFAULT_COLLECTOR,
) -> None:
    """Destroy one instance and verify that nothing of it survived."""
    from collector.cli import screen

    where = ask(collector, lambda client: client.destroy(instance, host))
    screen.say(f"destroyed {instance} on {where}")


def instances(
    host: Host = "",
    collector: Collector = DEFAULT_COLLECTOR,
    output: OutputOption = Output.TABLE,
) -> None:
    """List the instances that agents hold now."""
    from collector.cli import screen

    found = ask(collector, lambda client: client.instances(host))
    if output is Output.JSON:
        screen.print_rows(found.instances)
    else:
        screen.print_table(
            ("INSTANCE", "HOST", "RUNTIME", "STATE", "IMAGE", "REQUESTED", "RUN"),
            [
                (
                    item.instance.instance_id,
                    item.host,
                    item.instance.runtime,
                    item.instance.state,
                    item.instance.image,
                    screen.moment(item.instance.requested_at_unix_ns),
                    item.instance.run_id or "by hand",
                )
                for item in found.instances
            ],
            "no instances",
        )
    _leave_if_unreached(found.unreached)


def clean(
    host: Host = "",
    collector: Collector = DEFAULT_COLLECTOR,
    output: OutputOption = Output.TABLE,
) -> None:
    """Remove every instance that no live run holds.

    Those launched by hand go too; nothing that Tonnage did not start is touched.
    """
    from collector.cli import screen
    from collector.errors import InstancesLeaked
    from collector.suitability import few

    cleaning = ask(collector, lambda client: client.clean(host))
    if output is Output.JSON:
        screen.print_rows(cleaning.hosts)
    else:
        for cleaned in cleaning.hosts:
            screen.say(f"{cleaned.host}: {_removed(cleaned.removed)}")
    leaked = [f"{item.host}/{name}" for item in cleaning.hosts for name in item.leaked]
    if leaked:
        raise InstancesLeaked(
            f"instances survived their removal: {few(leaked)}",
            remedy="See the agent's log on that host for what holds them.",
        )
    _leave_if_unreached(cleaning.unreached)


def _removed(ids: Sequence[str]) -> str:
    from collector.suitability import few

    return f"removed {few(ids)}" if ids else "nothing to remove"


def _leave_if_unreached(unreached: Sequence[str]) -> None:
    from collector.cli import screen
    from collector.errors import ExitCode

    if unreached:
        screen.say(f"error: not reached: {', '.join(unreached)}")
        raise typer.Exit(ExitCode.PARTIAL)


def _launch_line(launched: Launched) -> str:
    ready_ns = launched.trial.ready_ns
    after = f" after {ready_ns / 1e9:.3f} s" if ready_ns is not None else ""
    return f"ready{after}; remove it with tonnage destroy {launched.instance.instance_id}"
