"""The address of a database as it may be shown: without what is secret."""

from __future__ import annotations

import re

# Rather too much is hidden than too little: a password may hold signs that an address
# ought to have in another form.
_IN_AUTHORITY = re.compile(r"(://[^:/?#@]*):.*@", re.DOTALL)
_IN_QUERY = re.compile(r"([?&](?:ssl)?password=)[^&]*", re.IGNORECASE)


def without_password(url: str) -> str:
    """``url`` as it may be shown and logged."""
    return _IN_QUERY.sub(r"\1***", _IN_AUTHORITY.sub(r"\1:***@", url))
