"""The red button."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Annotated

import typer

from collector.cli.options import DEFAULT_COLLECTOR, Collector, Host, Output, OutputOption
from collector.endpoint import Endpoint

if TYPE_CHECKING:
    from collector.errors import ExitCode
    from collector.views import Stopped


@dataclass
class HostEnd:
    """What became of one host; ``killed_seconds`` is absent of one that told nothing."""

    host: str
    killed: int = 0
    killed_seconds: float | None = None
    alive: tuple[str, ...] = ()
    removed: int = 0
    leaked: tuple[str, ...] = ()
    finished: bool = False
    problem: str = ""

    @property
    def unreached(self) -> bool:
        """Whether it is not known that everything there was stopped and removed."""
        return not self.finished

    def take(self, stopped: Stopped) -> str:
        """Note an answer; what a person is told of it."""
        from collector.views import HostCleaning, HostKilled

        answer = stopped.answer
        match answer:
            case HostKilled():
                self.killed, self.killed_seconds = len(answer.killed), answer.seconds
                self.alive = answer.alive
                alive = f", {len(answer.alive)} still alive" if answer.alive else ""
                return f"{self.host}: killed {self.killed} in {answer.seconds:.1f} s{alive}"
            case HostCleaning():
                self.removed, self.leaked, self.finished = len(answer.removed), answer.leaked, True
                leaked = f", leaked {', '.join(answer.leaked)}" if answer.leaked else ""
                return f"{self.host}: removed {self.removed}{leaked}"
            case problem:
                self.problem = problem.message
                return f"error: {self.host}: {problem}"


def stop_all(
    host: Host = "",
    yes: Annotated[bool, typer.Option("--yes", "-y", help="Do not ask.")] = False,
    collector: Collector = DEFAULT_COLLECTOR,
    output: OutputOption = Output.TABLE,
) -> None:
    """Stop everything: the red button.

    Every run on the hosts is cancelled, on all of its hosts; launching stops at once;
    every instance is killed within 5 s and then removed. The hosts take no new run until
    tonnage drain HOST --undo. A host that is not reached is told of the cancelled runs as
    soon as it answers again.

    \b
    Exit codes: 0 all removed, 5 a host was not reached, 6 an instance survived.
    """
    from collector.cli import interrupts
    from collector.cli.asking import make_sure

    where = f"on {host}" if host else "on EVERY host"
    question = f"Cancel every run and kill every instance {where}?"
    make_sure("kills every instance", question, yes)
    ends = interrupts.run(_stop(collector, host))
    _print(ends, output)
    raise typer.Exit(outcome(ends))


def outcome(ends: Sequence[HostEnd]) -> ExitCode:
    """The exit code that the hosts' ends call for."""
    from collector.errors import ExitCode

    if any(end.leaked for end in ends):
        return ExitCode.LEAKED
    return ExitCode.PARTIAL if any(end.unreached for end in ends) else ExitCode.DONE


async def _stop(collector: Endpoint, host: str) -> Sequence[HostEnd]:
    from collector.cli import screen
    from collector.client import Client

    ends: dict[str, HostEnd] = {}
    async with Client(collector) as client:
        async for stopped in client.stop_all(host):
            screen.say(ends.setdefault(stopped.host, HostEnd(stopped.host)).take(stopped))
    return [ends[name] for name in sorted(ends)]


def _print(ends: Sequence[HostEnd], output: Output) -> None:
    from collector.cli import screen
    from collector.suitability import few

    if output is Output.JSON:
        screen.print_json([{**asdict(end), "unreached": end.unreached} for end in ends])
    else:
        columns = ("HOST", "KILLED", "WITHIN", "REMOVED", "LEAKED", "REACHED")
        screen.print_table(columns, [_row(end) for end in ends], "no host has registered")
    unreached = [end.host for end in ends if end.unreached]
    if unreached:
        screen.say(f"error: not reached to the end: {few(unreached)}; see to them by hand")
    if ends:
        screen.say("The hosts take no new run; undo that with tonnage drain HOST --undo.")


def _row(end: HostEnd) -> tuple[object, ...]:
    within = "-" if end.killed_seconds is None else f"{end.killed_seconds:.1f} s"
    reached = "yes" if end.finished else "no"
    return (end.host, end.killed, within, end.removed, len(end.leaked) or "-", reached)
