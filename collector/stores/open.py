"""Opens a store by its address. One line a kind of store."""

from __future__ import annotations

from importlib import import_module
from pathlib import Path
from typing import cast
from urllib.parse import unquote, urlsplit

from collector.errors import StoreUnusable
from collector.stores.base import Store

# Scheme: module and function, which takes the path or the address itself.
STORES: dict[str, str] = {
    "sqlite": "collector.stores.sqlite.store:open_sqlite",
}
_FILE = "tonnage.db"


async def open_store(place: str) -> Store:
    """Open the store at ``place``: a folder, or ``sqlite:///`` and an absolute path.

    Raises ``StoreUnusable`` when it cannot be used, ``StoreTooNew`` when a newer
    Tonnage wrote it.
    """
    if "://" not in place:
        return await _open("sqlite", Path(place) / _FILE)
    parts = urlsplit(place)
    if parts.scheme not in STORES:
        raise StoreUnusable(
            f"there is no store of the kind {parts.scheme}",
            field="store",
            value=place,
            remedy=f"Kinds: a folder, {', '.join(f'{kind}://' for kind in STORES)}.",
        )
    path = unquote(parts.path)
    file = Path(path[1:])
    if parts.netloc or not path.strip("/"):
        raise _misaddressed("the address names no file", place, Path("/srv/tonnage.db"))
    if not file.is_absolute():  # meant as absolute by whoever counts two slashes, not three
        raise _misaddressed("the address names no absolute path", place, Path("/") / file)
    return await _open(parts.scheme, file)


def _misaddressed(why: str, place: str, meant: Path) -> StoreUnusable:
    return StoreUnusable(
        why,
        field="store",
        value=place,
        remedy=f"Write sqlite:///{meant} with all four slashes, or a folder.",
    )


async def _open(scheme: str, path: Path) -> Store:
    module, function = STORES[scheme].split(":")
    opener = getattr(import_module(module), function)
    return cast("Store", await opener(path))
