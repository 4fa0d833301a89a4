"""Runs a command below us so that a signal reaches it exactly once."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from types import FrameType

SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)
NOT_FOUND = 127
KILLED_BY = 128


class Interrupted(BaseException):
    """A signal asked us to end while no command ran. Carries its number."""

    def __init__(self, number: int) -> None:
        super().__init__(f"ended by {signal.Signals(number).name}")
        self.exit_code = KILLED_BY + number


@contextmanager
def interruptible() -> Iterator[None]:
    """Within, the first signal raises ``Interrupted`` and later ones are ignored, so
    that cleaning up is never cut short."""

    def interrupt(number: int, _frame: FrameType | None) -> None:
        _handle_all(_ignore)
        raise Interrupted(number)

    before = {number: signal.getsignal(number) for number in SIGNALS}
    _handle_all(interrupt)
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


def run(command: Sequence[str], environment: Mapping[str, str]) -> int:
    """Run ``command`` with additions to the environment; return its exit code, or
    128 and the number of the signal that ended it.

    It leads a process group of its own, so a Ctrl-C at the terminal reaches us
    alone and is passed on once; it gets no terminal input. Signals are ignored
    after it has ended: what follows is cleaning up.
    """
    relay = _Relay()
    _handle_all(relay.receive)
    stdin = subprocess.DEVNULL if sys.stdin is None or sys.stdin.isatty() else None
    try:
        process = subprocess.Popen(
            command, env={**os.environ, **environment}, stdin=stdin, process_group=0
        )
    except OSError as error:
        return _not_started(command, error)
    else:
        relay.attach(process.pid)
        code = process.wait()
        return code if code >= 0 else KILLED_BY - code
    finally:
        _handle_all(_ignore)


def replace(command: Sequence[str], environment: Mapping[str, str]) -> int:
    """Become ``command``. Returns an exit code only if it cannot be started."""
    os.environ.update(environment)
    try:
        os.execvp(command[0], [*command])  # noqa: S606 - no shell is what is wanted
    except OSError as error:
        return _not_started(command, error)


def _not_started(command: Sequence[str], error: OSError) -> int:
    print(f"{command[0]}: {error.strerror}", file=sys.stderr)  # noqa: T201 - a command's words
    return NOT_FOUND


class _Relay:
    """Passes signals on to a process group, and keeps those that come before it exists."""

    def __init__(self) -> None:
        self._group: int | None = None
        self._early: list[int] = []

    def receive(self, number: int, _frame: FrameType | None) -> None:
        if self._group is None:
            self._early.append(number)
            return
        with suppress(ProcessLookupError):
            os.killpg(self._group, number)

    def attach(self, group: int) -> None:
        self._group = group
        for number in self._early:
            self.receive(number, None)


def _ignore(_number: int, _frame: FrameType | None) -> None:
    """A handler rather than ``SIG_IGN``, which programs we start would inherit."""


def _handle_all(handler: signal._HANDLER) -> None:
    for number in SIGNALS:
        signal.signal(number, handler)
