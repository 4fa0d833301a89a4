"""Text that an engine holds which knows no NUL.

PostgreSQL's ``text`` holds every character but U+0000, and what hosts tell (the end of
a console's log) may have some. There U+0000 is stored as U+001A and ``0``, and U+001A as
two of itself: what is read is what was written.
"""

from __future__ import annotations

import re
from typing import Any

from sqlalchemy import Text, TypeDecorator

_NUL, _SIGN = "\0", "\x1a"
_STORED = {_NUL: f"{_SIGN}0", _SIGN: _SIGN * 2}
_READ = {stored: character for character, stored in _STORED.items()}
_ODD = re.compile(f"[{_NUL}{_SIGN}]")
_PAIR = re.compile(f"{_SIGN}[0{_SIGN}]")


def is_odd(text: str) -> bool:
    """Whether ``text`` is stored otherwise than it reads."""
    return _NUL in text or _SIGN in text


def stored(text: str) -> str:
    """``text`` as it is stored."""
    return text if not is_odd(text) else _ODD.sub(lambda found: _STORED[found[0]], text)


def read(text: str) -> str:
    """What was stored as ``text``."""
    return text if _SIGN not in text else _PAIR.sub(lambda found: _READ[found[0]], text)


class WithoutNul(TypeDecorator[str]):
    """A column of text in an engine that knows no NUL."""

    impl = Text
    cache_ok = True

    def process_bind_param(self, value: str | None, dialect: Any) -> str | None:
        """See ``stored``."""
        del dialect
        return None if value is None else stored(value)

    def process_result_value(self, value: Any, dialect: Any) -> str | None:
        """See ``read``."""
        del dialect
        return None if value is None else read(value)
