"""The text that a screen shows, out of the commands by which it is drawn on a serial line.

What is drawn by ECMA-48 control sequences has no line ends: where the cursor is sent
to the first column, or the screen is cleared, a line begins. A sequence that two chunks
share is kept until it is whole.
"""

from __future__ import annotations

import re

# ECMA-48, 5.4: CSI, parameter and intermediate bytes, a final byte; then other escapes.
_SEQUENCE = re.compile(rb"\x1b(?:\[([0-?]*)[ -/]*([@-~])|[ -/]*[0-Z\\-~])")
_UNFINISHED = re.compile(rb"\x1b(?:\[[0-?]*[ -/]*|[ -/]*)?\Z")
_LONGEST_BYTES = 64  # what is longer is no sequence, and is shown as it is


class Screen:
    """Takes bytes as they arrive and gives the text among them."""

    def __init__(self) -> None:
        self._kept = b""

    def text(self, data: bytes) -> bytes:
        """The text that is complete now, sequences taken out."""
        data = self._kept + data
        unfinished = _UNFINISHED.search(data)
        if unfinished is not None and len(unfinished[0]) <= _LONGEST_BYTES:
            data, self._kept = data[: unfinished.start()], unfinished[0]
        else:
            self._kept = b""
        return _SEQUENCE.sub(_shown, data)


def _shown(sequence: re.Match[bytes]) -> bytes:
    """A line's end where a line begins, else nothing."""
    parameters, final = sequence[1] or b"", sequence[2]
    column = parameters.partition(b";")[2] or b"1"
    begins = final == b"J" or (final in (b"H", b"f") and column in (b"1", b"01"))
    return b"\n" if begins else b""
