"""Runs on a guest: submitted, watched to their ends, and proven to be kept whole."""

from __future__ import annotations

import base64
from pathlib import Path
from typing import Any

from agent.storage.records import payloads
from tests.hosts.guest.guest import Guest
from tests.hosts.guest.operator import Operator, until
from tests.proof import prove
from tonnage.model import Event, Outcome, RunResumed, RunState, Trial
from tonnage.wire import from_bytes

# The guest's CPUs are emulated, beside whatever else this machine does.
INSTALL_SECONDS = 400.0
PATIENCE_SECONDS = 300.0

# What Tonnage and its runs left on a guest; nothing at all on one that never had it.
LEFT_BEHIND = """
find / -xdev \\( -path /srv/cargo -o -path /proc -o -path /usr/local/lib/tonnage-guest \\) -prune \
    -o -iname '*tonnage*' ! -path '/var/lib/docker/*' -print
getent passwd tonnage; pgrep -a tonnage; docker ps --all --quiet
systemctl list-units --all --plain --no-legend '*tonnage*'; systemctl --failed --plain --no-legend
"""


def fake_runs(name: str, host: str, starts: int, targets: int = 1) -> str:
    """An experiment whose instances outlive the agent, as containers would."""
    names = ", ".join(f"{{name: t{number}, runtime: fake}}" for number in range(targets))
    return f"""
name: {name}
hosts: [{host}]
workload:
  image: fake:ok
  readiness: {{log: TONNAGE READY}}
  environment: {{FAKE_DURABLE: "1", FAKE_READY_MS: "400"}}
targets: [{names}]
startup: {{trials: {starts}, warmup: 0}}
"""


def submit(collector: Operator, spec: str, folder: Path) -> str:
    """Begin a run; its id."""
    path = folder / "spec.yaml"
    path.write_text(spec)
    return collector.tonnage("run", str(path), "--detach").strip()


def in_the_middle(collector: Operator, run_id: str, starts: int, of: int) -> None:
    """Wait until so many starts are recorded; the run is not over then."""
    run = until(
        lambda: collector.run(run_id), lambda run: run["trials"] >= starts, PATIENCE_SECONDS
    )
    assert run["trials"] < of


def finished(collector: Operator, run_id: str) -> None:
    """Wait for its end, which is a good one."""
    ended = until(
        lambda: collector.run(run_id),
        lambda run: run["state"] in ("finished", "partial", "failed", "cancelled"),
        PATIENCE_SECONDS,
    )
    assert ended["state"] == RunState.FINISHED, ended


def healthy(collector: Operator, name: str, version: str) -> dict[str, Any]:
    """A host, once it is there with an agent of that version."""

    def there(host: dict[str, Any]) -> bool:
        return bool(host["state"] == "healthy" and host["facts"]["agent_version"] == version)

    return until(lambda: collector.host(name), there, PATIENCE_SECONDS)


def fetch(server: Guest, path: str, into: Path) -> None:
    """Copy one of the guest's files."""
    into.parent.mkdir(parents=True, exist_ok=True)
    into.write_bytes(base64.b64decode(server.run(f"base64 -w0 {path}")))


def spooled(server: Guest, run_id: str, folder: Path) -> list[Event]:
    """What the agent recorded of a run."""
    spool = folder / "events.log"
    fetch(server, f"/var/lib/tonnage/agent/spool/{run_id}/events.log", spool)
    return [from_bytes(record, Event) for record in payloads(spool.read_bytes())]


def all_kept(
    server: Guest, collector: Operator, run: tuple[str, str], starts: int, folder: Path
) -> list[Event]:
    """What the agent recorded of a run on a host, once it is proven that the collector's
    store has it, once each, and that every start of it became ready."""
    events = spooled(server, run[0], folder)
    proof = prove(collector.store, folder / "events.log", run, starts)
    assert proof.holds, proof
    trials = [event.payload for event in events if isinstance(event.payload, Trial)]
    ready = {trial.trial_id for trial in trials if trial.outcome is Outcome.READY}
    assert len(ready) == starts, [trial.error for trial in trials if trial.error]
    return events


def resumptions(events: list[Event]) -> list[RunResumed]:
    """Each time that the agent took the run up again."""
    return [event.payload for event in events if isinstance(event.payload, RunResumed)]
