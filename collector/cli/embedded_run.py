"""One run with a collector and an agent of its own: what ``tonnage demo`` does."""

from __future__ import annotations

import asyncio
import os
import re
import socket
import tempfile
from collections.abc import AsyncIterator, Sequence
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from pathlib import Path
from uuid import uuid4

from collector.cli import follow, progress, results, screen
from collector.cli.embedded import Server, serving, serving_on
from collector.cli.fewer import without
from collector.cli.interrupts import Interrupts, listening
from collector.cli.options import Output, TrialFormat
from collector.client import Client
from collector.errors import ConfigError, Unreachable
from collector.reports.model import Result
from collector.spec import Spec
from collector.suitability import few
from collector.views import HostInfo

_REGISTER_SECONDS = 90.0
_AGENT_STOP_SECONDS = 45.0
_COLLECTOR_STOP_SECONDS = 15.0
_PREPARED = {
    "--guest-dir": ("TONNAGE_AGENT_GUEST_DIR", Path("build/guest")),
    "--images-dir": ("TONNAGE_AGENT_IMAGES_DIR", Path("build/images")),
}


async def run(experiment: Spec, out: Path, runtimes: str, output: Output) -> int:
    """Run ``experiment`` on this host alone and return the exit code.

    Writes result.json, report.html, trials.csv and both servers' logs to ``out``;
    nothing else is left. Raises ``TonnageError``.
    """
    make(out)
    with listening() as interrupts:
        async with (
            servers(out, runtimes, interrupts) as (collector, agent),
            Client(collector.listening) as client,
        ):
            host = await registered(client, agent)
            fitting, notices = without(experiment, host.runtimes)
            for notice in notices:
                screen.say(f"notice: {notice}")
            return await _measure(client, fitting, out, output, interrupts)


@asynccontextmanager
async def servers(
    out: Path, runtimes: str, interrupts: Interrupts
) -> AsyncIterator[tuple[Server, Server]]:
    """Start both servers with a temporary store. Stopping them is bounded and not interrupted."""
    with tempfile.TemporaryDirectory(prefix="tonnage-demo-") as folder:
        at_collector = ["--listen", "127.0.0.1:0", "--http", "127.0.0.1:0"]
        at_collector += ["--store", f"{folder}/store"]
        collector_log, agent_log = _logs(out)
        async with serving(
            "collector",
            "collector.app",
            at_collector,
            collector_log,
            _COLLECTOR_STOP_SECONDS,
            interrupts,
        ) as collector:
            at_agent = _agent_arguments(runtimes, collector.listening, folder)

            def agent() -> AbstractAsyncContextManager[Server]:
                return serving(
                    "agent", "agent.app", at_agent, agent_log, _AGENT_STOP_SECONDS, interrupts
                )

            async with serving_on(agent, interrupts) as first:
                yield collector, first


def _logs(out: Path) -> tuple[Path, Path]:
    """Where the collector and the agent log, both empty."""
    logs = out / "collector.log", out / "agent.log"
    for log in logs:
        with screen.writing(log):
            pass
    return logs


def _agent_arguments(runtimes: str, collector: str, folder: str) -> Sequence[str]:
    name = re.sub(r"[^A-Za-z0-9._-]", "-", socket.gethostname()).strip("._-")[:63]
    arguments = ["--name", name or "localhost", "--listen", "127.0.0.1:0"]
    arguments += ["--metrics", "127.0.0.1:0", "--collector", collector]
    arguments += ["--data-dir", f"{folder}/agent", "--runtimes", runtimes]
    for flag, (variable, prepared) in _PREPARED.items():
        if variable not in os.environ and prepared.is_dir():
            arguments += [flag, str(prepared.resolve())]
    return arguments


async def registered(client: Client, agent: Server) -> HostInfo:
    """Wait until the agent has registered its runtimes with the collector."""
    screen.say("looking for runtimes")
    try:
        async with asyncio.timeout(_REGISTER_SECONDS):
            while True:
                for host in await client.hosts():
                    return host
                if agent.process.returncode is not None:
                    code = agent.process.returncode
                    raise Unreachable(f"the agent ended with exit code {code}: see {agent.log}")
                await asyncio.sleep(0.1)
    except TimeoutError as error:
        message = f"the agent did not register within {_REGISTER_SECONDS:.0f} s"
        raise Unreachable(message, remedy=f"See {agent.log}.") from error


async def _measure(
    client: Client, experiment: Spec, out: Path, output: Output, interrupts: Interrupts
) -> int:
    with interrupts.patient():
        run_id = await client.submit(experiment.model_dump_json(), uuid4().hex)
    screen.say(f"run {run_id}: {', '.join(t.id for t in experiment.combinations())}")
    try:
        last = await follow.follow(client, run_id, progress.display(), interrupts)
    finally:
        with interrupts.deaf():
            result = await client.result(run_id)
            await clean(client, result)
            await _write(client, result, out)
    results.print_result(result, output)
    for line in follow.closing_lines(last, result):
        screen.say(line)
    screen.say(f"wrote {out / 'result.json'}, {out / 'report.html'} and {out / 'trials.csv'}")
    return follow.outcome(last, result)


async def clean(client: Client, result: Result) -> None:
    """Try once more to remove what survived: these servers will not be there later."""
    if any(host.leaked for host in result.hosts):
        cleaning = await client.clean()
        removed = [name for host in cleaning.hosts for name in host.removed]
        screen.say(f"removed after all: {few(removed)}")


async def _write(client: Client, result: Result, out: Path) -> None:
    from collector.reports.html import render

    with screen.writing(out / "result.json") as document:
        document.write(result.model_dump_json(indent=2) + "\n")
    with screen.writing(out / "trials.csv") as table:
        await results.write_trials(client, result.run.id, TrialFormat.CSV, table)
    trials = await results.trial_rows(client, result.run.id)
    text = await asyncio.to_thread(render, result, trials)
    with screen.writing(out / "report.html") as page:
        page.write(text)


def make(out: Path) -> None:
    """Make the folder. Raises ``ConfigError``."""
    try:
        out.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise ConfigError(
            f"cannot make the folder: {error.strerror}",
            field="--out",
            value=str(out),
            remedy="Name a folder that may be written.",
        ) from error
