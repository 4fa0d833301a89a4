"""Every experiment of the claims on this host, one after another, and their judgement."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from uuid import uuid4

from collector.claims import Claims, Seen, judge
from collector.cli import embedded_run, follow, progress, results, screen
from collector.cli.claims_sizes import at_the_least
from collector.cli.claims_time import Allowance
from collector.cli.fewer import without
from collector.cli.interrupts import Interrupts, Left, listening
from collector.client import Client
from collector.errors import ExitCode, TonnageError
from collector.spec import Spec
from collector.views import Progress
from tonnage.model import Fingerprint, RunState

_GRAVE = (ExitCode.LEAKED, ExitCode.CANCELLED)


@dataclass(slots=True)
class Found:
    """What the experiments gave: runs, what is missing of them, and the gravest exit code."""

    seen: list[Seen] = field(default_factory=list)
    missing: list[str] = field(default_factory=list)
    worst: int = ExitCode.DONE

    def lacks(self, experiment: str, why: str) -> None:
        """An experiment that was not made, or not all of it."""
        told = " ".join(f"{experiment} {why}".split())
        self.missing.append(told if told.endswith(".") else f"{told}.")
        screen.say(f"notice: {told}")

    def graver(self, code: int) -> None:
        """Note an exit code, if it is one that must not be lost behind the verdicts'."""
        self.worst = max(self.worst, code if code in _GRAVE else ExitCode.DONE)


async def run(experiments: Sequence[Spec], out: Path, runtimes: str) -> tuple[Claims, int]:
    """Run the experiments with a collector and an agent of their own, and judge the claims.

    Writes result.json, report.html, each run's own result, and both servers' logs to
    ``out``; nothing else is left. Beside the verdicts it returns the exit code of runs that
    were cancelled or left something behind, else 0: an experiment that is refused, fails or
    has no time left leaves its claims inconclusive, and the verdicts say so. Raises
    ``TonnageError`` where no host registers, and ``Left``.
    """
    embedded_run.make(out)
    allowance = Allowance()
    with listening() as interrupts:
        async with (
            embedded_run.servers(out, runtimes, interrupts) as (collector, agent),
            Client(collector.listening) as client,
        ):
            host = await embedded_run.registered(client, agent)
            found = await measured(client, experiments, host.runtimes, out, interrupts, allowance)
            judged = judge(found.seen, found.missing)
            await _write(judged, found.seen, out)
            return judged, found.worst


async def measured(
    client: Client,
    experiments: Sequence[Spec],
    runtimes: Sequence[Fingerprint],
    out: Path,
    interrupts: Interrupts,
    allowance: Allowance,
) -> Found:
    """Make one experiment after another; one that fails is told of, and the next is made."""
    found = Found()
    for experiment in experiments:
        name, timed = experiment.name, allowance.within(experiment)
        if interrupts.asked.is_set():
            found.lacks(name, "is left out: cancelled before")
        elif timed is None:
            found.lacks(name, f"is left out: {allowance.over}")
        else:
            before = len(found.seen)
            try:
                fitting = _fitted(timed, runtimes, found.seen)
                last = await _one(client, fitting, out, interrupts, found)
            except Left:
                raise
            except TonnageError as error:
                how = "is left out" if len(found.seen) == before else "was not seen to its end"
                found.lacks(name, f"{how}: {error}")
                found.graver(error.exit_code)
            else:
                if last.state is not RunState.FINISHED:
                    found.lacks(name, _ended(last, allowance))
    return found


def _fitted(experiment: Spec, runtimes: Sequence[Fingerprint], seen: Sequence[Seen]) -> Spec:
    """For this host and after what was found on it. Raises ``InvalidInput`` if none can run."""
    fitting, notices = without(experiment, runtimes)
    searched = [row for run in seen for row in run.result.memory_floor]
    fitting, sized = at_the_least(fitting, searched)
    for notice in (*notices, *sized):
        screen.say(f"notice: {notice}")
    return fitting


async def _one(
    client: Client, experiment: Spec, out: Path, interrupts: Interrupts, found: Found
) -> Progress:
    """Run one. What it measured is found, and written, even where it was not seen to its end."""
    with interrupts.patient():
        run_id = await client.submit(experiment.model_dump_json(), uuid4().hex)
    screen.say(f"run {run_id}: {experiment.name}")
    try:
        last = await follow.follow(client, run_id, progress.display(), interrupts)
    finally:
        with interrupts.deaf():
            result = await client.result(run_id)
            await embedded_run.clean(client, result)
            with screen.writing(out / f"{experiment.name}.json") as document:
                document.write(result.model_dump_json(indent=2) + "\n")
            found.seen.append(Seen(result, await results.trial_rows(client, run_id)))
    for line in follow.closing_lines(last, result):
        screen.say(line)
    found.graver(follow.outcome(last, result))
    return last


def _ended(last: Progress, allowance: Allowance) -> str:
    why = [str(last.problem)] if last.problem is not None else []
    why += [allowance.over] if allowance.is_over else []
    return f"ended {last.state}{': ' if why else ''}{' '.join(why)}"


async def _write(judged: Claims, seen: Sequence[Seen], out: Path) -> None:
    from collector.claims.page import render

    with screen.writing(out / "result.json") as document:
        document.write(judged.model_dump_json(indent=2) + "\n")
    text = await asyncio.to_thread(render, judged, [each.result for each in seen])
    with screen.writing(out / "report.html") as page:
        page.write(text)
    screen.say(f"wrote {out / 'result.json'} and {out / 'report.html'}")
