"""The code that makes something of an image is part of what it is."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable
from pathlib import Path


def code_digest(*rooms: Iterable[str]) -> str:
    """A digest of the sources of packages, given by their ``__path__``."""
    digest = hashlib.sha256()
    for room in rooms:
        for folder in room:
            for source in sorted(Path(folder).glob("*.py")):
                digest.update(source.read_bytes())
    return digest.hexdigest()
