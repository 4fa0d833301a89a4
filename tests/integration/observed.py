"""A folder for an observed fleet, and what still runs in it."""

from __future__ import annotations

import os
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

CHECKOUT = Path(__file__).parents[2]


@contextmanager
def reachable_folder() -> Iterator[Path]:
    """A folder that PostgreSQL's user can reach too; gone after the block."""
    made = Path(tempfile.mkdtemp(prefix="tonnage-observe-"))
    made.chmod(0o755)
    try:
        yield made / "observe"
    finally:
        shutil.rmtree(made, ignore_errors=True)


def processes(folder: Path) -> Iterator[str]:
    """Command lines that name the folder; this process's own is none of them."""
    for path in Path("/proc").glob("[0-9]*/cmdline"):
        try:
            line = path.read_bytes().replace(b"\0", b" ").decode(errors="replace")
        except OSError:
            continue
        if str(folder) in line and path.parent.name != str(os.getpid()):
            yield line
