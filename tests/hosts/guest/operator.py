"""The operator's side of a second server: an authority, a collector, and commands."""

from __future__ import annotations

import json
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

# Under which a guest of QEMU's user network sees this machine's loopback address.
SEEN_BY_GUESTS = "10.0.2.2"
COMMAND_SECONDS = 60.0
STOP_SECONDS = 30.0
LOOK_SECONDS = 2.0  # a look is a command, and takes a second of a core


class CommandFailed(Exception):
    """A command ended with another exit code than 0; the text has what it said."""


class NotSo(Exception):
    """What was waited for did not come; the text has what was there instead."""


class Operator:
    """``address`` is the collector's for commands, ``door`` where guests join."""

    def __init__(self, folder: Path, address: str, door: str) -> None:
        self.store = folder / "store" / "tonnage.db"
        self.address = address
        self.door = door
        self.pki = folder / "pki"

    def tonnage(self, *words: str) -> str:
        """One command with the operator's certificate; its output. Raises ``CommandFailed``."""
        where = ("--collector", self.address, "--tls-dir", str(self.pki))
        return _tonnage(*words, *where)

    def ask(self, *words: str) -> Any:
        """One command that answers in JSON."""
        return json.loads(self.tonnage(*words, "--output", "json"))

    def host(self, name: str) -> dict[str, Any]:
        """A host as ``tonnage hosts`` lists it. Raises ``NotSo``."""
        listed = self.ask("hosts")
        for host in listed:
            if host["facts"]["host"] == name:
                return dict(host)
        raise NotSo(f"no host {name} in {listed}")

    def run(self, run_id: str) -> dict[str, Any]:
        """A run as ``tonnage runs`` lists it."""
        return dict(next(run for run in self.ask("runs") if run["run_id"] == run_id))


def until(
    look: Callable[[], dict[str, Any]], there: Callable[[dict[str, Any]], bool], seconds: float
) -> dict[str, Any]:
    """Look until it is as wanted; what was seen. Raises ``NotSo`` with the last of it."""
    deadline = time.monotonic() + seconds
    while True:
        try:
            seen = look()
        except NotSo as error:
            seen, wanted = {"error": str(error)}, False
        else:
            wanted = there(seen)
        if wanted:
            return seen
        if time.monotonic() > deadline:
            raise NotSo(f"not within {seconds:g} s; last seen: {json.dumps(seen)[:2000]}")
        time.sleep(LOOK_SECONDS)


@contextmanager
def operator(folder: Path, *flags: str) -> Iterator[Operator]:
    """A new authority and a collector on loopback, until the end of the block."""
    _tonnage("pki", "init", "--dir", str(folder / "pki"))
    arguments = (
        *("--listen", "127.0.0.1:0", "--http", "127.0.0.1:0", "--advertise", SEEN_BY_GUESTS),
        *("--store", str(folder / "store"), "--tls-dir", str(folder / "pki")),
    )
    with (folder / "collector.log").open("ab") as log:
        collector = subprocess.Popen(
            [sys.executable, "-m", "collector.app", *arguments, *flags],
            stdout=subprocess.PIPE,
            stderr=log,
        )
    try:
        yield Operator(folder, *_serving(collector, folder / "collector.log"))
    finally:
        _end(collector)


def _serving(collector: subprocess.Popen[bytes], log: Path) -> Sequence[str]:
    """Where it serves commands, and where guests join."""
    assert collector.stdout is not None
    line = collector.stdout.readline()
    assert line, log.read_text()
    served = json.loads(line)
    port = served["http"].rpartition(":")[2]
    return served["listening"], f"{SEEN_BY_GUESTS}:{port}"


def _end(collector: subprocess.Popen[bytes]) -> None:
    collector.terminate()
    try:
        collector.communicate(timeout=STOP_SECONDS)
    finally:
        collector.kill()
        collector.wait()


def _tonnage(*words: str) -> str:
    done = subprocess.run(
        [sys.executable, "-m", "collector.cli", *words],
        capture_output=True,
        text=True,
        timeout=COMMAND_SECONDS,
    )
    if done.returncode != 0:
        raise CommandFailed(
            f"tonnage {' '.join(words)} ended with {done.returncode}:\n{done.stderr}"
        )
    return done.stdout
