"""What is printed where: results on standard output, everything else on standard error."""

from __future__ import annotations

import json
import os
import shutil
import sys
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import asdict
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any, TextIO

from collector.errors import ConfigError

if TYPE_CHECKING:
    from rich.text import Text


def width() -> int | None:
    """Columns of the terminal on standard output; ``None`` where there is none."""
    return shutil.get_terminal_size().columns if sys.stdout.isatty() else None


def put(text: str) -> None:
    """Print on standard output. A reader that has left is no error: the rest is not printed.

    Raises ``ConfigError`` where it cannot be written.
    """
    try:
        sys.stdout.write(text)
        sys.stdout.flush()
    except BrokenPipeError:
        nobody_reads()
    except OSError as error:
        nobody_reads()
        raise ConfigError(f"cannot write to standard output: {error.strerror}") from error


def nobody_reads() -> None:
    """Let what is still to be printed go nowhere."""
    os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())


def put_styled(text: Text) -> None:
    """Print lines that were made for ``width()``, with their styles on a terminal."""
    if not sys.stdout.isatty():
        put(text.plain + "\n")
        return
    from rich.console import Console

    Console(file=sys.stdout, highlight=False).print(text, soft_wrap=True)


def say(text: str) -> None:
    """Tell a person something, on standard error."""
    sys.stderr.write(text + "\n")
    sys.stderr.flush()


def print_json(document: Any) -> None:
    """Print one JSON document, alone, on standard output."""
    put(json.dumps(document, indent=2, default=str, ensure_ascii=False) + "\n")


def print_rows(rows: Iterable[Any]) -> None:
    """Print dataclasses as one JSON list."""
    print_json([asdict(row) for row in rows])


def print_table(columns: Sequence[str], rows: Iterable[Sequence[object]], empty: str) -> None:
    """Print a plain table; what ``empty`` says goes to standard error when there is no row."""
    from collector.reports.grid import Column, Grid

    cells = tuple(tuple(str(cell) for cell in row) for row in rows)
    if not cells:
        say(empty)
        return
    grid = Grid("", tuple(Column(name) for name in columns), cells)
    put("\n".join(grid.lines(width(), rule=False)) + "\n")


def moment(unix_ns: int | None) -> str:
    """Return an instant in UTC to the second, or a dash."""
    if not unix_ns:
        return "-"
    return datetime.fromtimestamp(unix_ns / 1e9, UTC).strftime("%Y-%m-%d %H:%M:%SZ")


def span(begun_unix_ns: int | None, ended_unix_ns: int | None) -> str:
    """Return how long something took, or a dash while it goes on."""
    from collector.reports.figures import duration

    if not begun_unix_ns or not ended_unix_ns:
        return "-"
    return duration((ended_unix_ns - begun_unix_ns) / 1e9)


def read_text(path: Path, what: str) -> str:
    """Return a file's text; raise ``ConfigError`` that names it if it cannot be read."""
    try:
        return path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        reason = error.strerror if isinstance(error, OSError) else "not UTF-8 text"
        raise ConfigError(
            f"cannot read the {what}: {reason}",
            value=str(path),
            remedy="Name a file that exists and may be read.",
        ) from error


@contextmanager
def writing(path: Path | None) -> Iterator[TextIO]:
    """A stream to a file that appears whole or not at all; ``None`` is standard output.

    Raises ``ConfigError`` if the file cannot be written.
    """
    if path is None:
        yield sys.stdout
        return
    draft = path.with_name(f".{path.name}.part")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with draft.open("w", encoding="utf-8", newline="") as stream:
            yield stream
        draft.replace(path)
    except OSError as error:
        raise ConfigError(
            f"cannot write: {error.strerror}",
            field="--out",
            value=str(path),
            remedy="Name a file in a folder that may be written.",
        ) from error
    finally:
        with suppress(OSError):
            draft.unlink()
