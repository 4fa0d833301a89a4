"""Every experiment of the claims on this host, one after another, and their judgement."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from pathlib import Path
from uuid import uuid4

from collector.claims import Claims, Seen, judge
from collector.cli import embedded_run, follow, progress, results, screen
from collector.cli.fewer import without
from collector.cli.interrupts import Interrupts, listening
from collector.client import Client
from collector.errors import ExitCode, InvalidInput
from collector.spec import Spec
from collector.views import HostInfo

_GRAVE = (ExitCode.LEAKED, ExitCode.CANCELLED)


async def run(experiments: Sequence[Spec], out: Path, runtimes: str) -> tuple[Claims, int]:
    """Run the experiments with a collector and an agent of their own, and judge the claims.

    Writes result.json, report.html, each run's own result, and both servers' logs to
    ``out``; nothing else is left. Beside the verdicts it returns the exit code of runs that
    were cancelled or left something behind, else 0: a run that fails leaves its claims
    inconclusive. Raises ``TonnageError``.
    """
    embedded_run.make(out)
    with listening() as interrupts:
        async with (
            embedded_run.servers(out, runtimes, interrupts) as (collector, agent),
            Client(collector.listening) as client,
        ):
            host = await embedded_run.registered(client, agent)
            seen, worst = await _all(client, experiments, host, out, interrupts)
            judged = judge(seen)
            await _write(judged, seen, out)
            return judged, worst


async def _all(
    client: Client,
    experiments: Sequence[Spec],
    host: HostInfo,
    out: Path,
    interrupts: Interrupts,
) -> tuple[list[Seen], int]:
    seen: list[Seen] = []
    worst = int(ExitCode.DONE)
    for experiment in experiments:
        try:
            fitting, notices = without(experiment, host.runtimes)
        except InvalidInput as unfit:
            screen.say(f"notice: {experiment.name} is left out: {unfit}")
            continue
        for notice in notices:
            screen.say(f"notice: {notice}")
        found, code = await _one(client, fitting, out, interrupts)
        seen.append(found)
        worst = max(worst, code if code in _GRAVE else ExitCode.DONE)
        if interrupts.asked.is_set():
            break
    return seen, worst


async def _one(
    client: Client, experiment: Spec, out: Path, interrupts: Interrupts
) -> tuple[Seen, int]:
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
    for line in follow.closing_lines(last, result):
        screen.say(line)
    trials = await results.trial_rows(client, run_id)
    return Seen(result, trials), int(follow.outcome(last, result))


async def _write(judged: Claims, seen: Sequence[Seen], out: Path) -> None:
    from collector.claims.page import render

    with screen.writing(out / "result.json") as document:
        document.write(judged.model_dump_json(indent=2) + "\n")
    text = await asyncio.to_thread(render, judged, [each.result for each in seen])
    with screen.writing(out / "report.html") as page:
        page.write(text)
    screen.say(f"wrote {out / 'result.json'} and {out / 'report.html'}")
