"""Ctrl-C, once and twice, for commands that have something to clean up."""

from __future__ import annotations

import asyncio
import signal
from collections.abc import Coroutine, Iterator
from contextlib import contextmanager
from enum import StrEnum
from typing import Any, TypeVar

from collector.errors import ExitCode, TonnageError
from tonnage.model import ProblemKind

_SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)

T = TypeVar("T")


class Left(TonnageError):
    """The operator left before the work had ended; the message says what goes on, if anything."""

    kind = ProblemKind.UNAVAILABLE
    exit_code = ExitCode.CANCELLED


class _Temper(StrEnum):
    ABRUPT = "abrupt"
    PATIENT = "patient"
    DEAF = "deaf"


class Interrupts:
    """Turns signals into cancellation of the task that made it.

    At first a signal cancels the task at once. Within ``patient`` the first
    one only sets ``asked``, so that the work can end in good order, and the
    second cancels. Within ``deaf`` signals change nothing: that part is bounded.
    """

    def __init__(self) -> None:
        task = asyncio.current_task()
        assert task is not None  # noqa: S101 - made inside a coroutine, so there is one
        self._task = task
        self._temper = _Temper.ABRUPT
        self.asked = asyncio.Event()

    @contextmanager
    def patient(self) -> Iterator[None]:
        """The first signal sets ``asked``; the second cancels the task."""
        with self._tempered(_Temper.PATIENT):
            yield

    @contextmanager
    def deaf(self) -> Iterator[None]:
        """Signals are noted and otherwise ignored."""
        with self._tempered(_Temper.DEAF):
            yield

    def retire(self) -> None:
        """From now on signals are only noted: what follows is bounded cleaning up."""
        self._temper = _Temper.DEAF

    def receive(self) -> None:
        """Take one signal."""
        again = self.asked.is_set()
        self.asked.set()
        if self._temper is _Temper.ABRUPT or (self._temper is _Temper.PATIENT and again):
            self._task.cancel()

    @contextmanager
    def _tempered(self, temper: _Temper) -> Iterator[None]:
        before, self._temper = self._temper, temper
        try:
            yield
        finally:
            self._temper = before


@contextmanager
def listening() -> Iterator[Interrupts]:
    """Signals go to the ``Interrupts`` given, until the end of the block."""
    loop, interrupts = asyncio.get_running_loop(), Interrupts()
    for number in _SIGNALS:
        loop.add_signal_handler(number, interrupts.receive)
    try:
        yield interrupts
    finally:
        for number in _SIGNALS:
            loop.remove_signal_handler(number)


def run(work: Coroutine[Any, Any, T]) -> T:
    """Run a coroutine to its end. Raises ``Left`` if it was interrupted."""
    try:
        return asyncio.run(work)
    except (asyncio.CancelledError, KeyboardInterrupt) as error:
        raise Left("cancelled") from error
