"""``python -m collector.store_copy SRC DST``: what ``tonnage store copy`` becomes.

A program of its own, as the collector is: the command line knows no store.
"""

from __future__ import annotations

import argparse
import sys
import time
from collections.abc import Sequence
from dataclasses import asdict

from collector.cli import interrupts, screen
from collector.cli.main import guarded
from collector.errors import InvalidInput
from collector.stores.moving.copying import Copied, copy_store
from collector.stores.open import end_of

_EVERY_SECONDS = 0.2
_CLEAR_LINE = "\r\x1b[K"


class Display:
    """How far the copy is, on one line of a terminal; nothing elsewhere."""

    def __init__(self) -> None:
        self._shows = sys.stderr.isatty()
        self._step = ("", "")
        self._began = self._shown = 0.0

    def __call__(self, doing: str, table: str, rows: int) -> None:
        """See ``Progress``."""
        now = time.monotonic()
        if (doing, table) != self._step:
            self._step, self._began = (doing, table), now
        if self._shows and now - self._shown >= _EVERY_SECONDS:
            self._shown = now
            rate = rows / max(now - self._began, 0.001)
            self._write(f"{_CLEAR_LINE}{doing} {table}: {rows:,} rows, {rate:,.0f}/s")

    def end(self) -> None:
        """Leave no line behind."""
        if self._shows:
            self._write(_CLEAR_LINE)

    def _write(self, text: str) -> None:
        sys.stderr.write(text)
        sys.stderr.flush()


def copy(source: str, destination: str, output: str) -> None:
    """Copy a store and print what was copied. Raises ``TonnageError``."""
    if source == destination:
        raise InvalidInput(
            "is the source itself",
            field="destination",
            value=destination,
            remedy="Name another store.",
        )
    display, began = Display(), time.monotonic()
    try:
        tables = interrupts.run(copy_store(end_of(source), end_of(destination), display))
    finally:
        display.end()
    _print(tables, time.monotonic() - began, output)


def _print(tables: Sequence[Copied], seconds: float, output: str) -> None:
    if output == "json":
        screen.print_json({"tables": [asdict(each) for each in tables], "seconds": seconds})
        return
    screen.print_table(
        ("TABLE", "ROWS", "SHA-256"), [(t.table, f"{t.rows:,}", t.sha256) for t in tables], ""
    )
    rows = sum(each.rows for each in tables)
    screen.say(
        f"copied {rows:,} rows in {seconds:.1f} s, and read them back: counts and checksums are the"
        " same. Now let the collector's store name the copy."
    )


def main() -> None:
    """The program."""
    parser = argparse.ArgumentParser(prog="tonnage store copy")
    parser.add_argument("source")
    parser.add_argument("destination")
    parser.add_argument("--output", choices=("table", "json"), default="table")
    given = parser.parse_args()
    sys.exit(guarded(lambda: copy(given.source, given.destination, given.output)))


if __name__ == "__main__":
    main()
