"""Finds a store by its address, to open it or to copy it. One line a kind of store."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from importlib import import_module
from pathlib import Path
from typing import Any, cast
from urllib.parse import unquote, urlsplit

from collector.errors import StoreUnusable
from collector.stores.base import Store
from collector.stores.moving.base import End

# Scheme: module and function, which takes the path or the address itself.
STORES: dict[str, str] = {
    "sqlite": "collector.stores.sqlite.store:open_sqlite",
    "postgresql": "collector.stores.postgres.store:open_postgres",
    "postgres": "collector.stores.postgres.store:open_postgres",
}
# Likewise what copies a history out of one, or into one.
ENDS: dict[str, str] = {
    "sqlite": "collector.stores.moving.sqlite:SqliteEnd",
    "postgresql": "collector.stores.moving.postgres:PostgresEnd",
    "postgres": "collector.stores.moving.postgres:PostgresEnd",
}
# What a kind needs beyond the collector's own packages: the module, and the extra that has it.
_EXTRAS = {"postgresql": ("asyncpg", "postgres"), "postgres": ("asyncpg", "postgres")}
_FILE = "tonnage.db"


async def open_store(place: str) -> Store:
    """Open the store at ``place``: a folder, ``sqlite:///`` and an absolute path, or
    ``postgresql://USER@HOST:PORT/DATABASE``.

    Raises ``StoreUnusable`` when it cannot be used, ``StoreTooNew`` when a newer
    Tonnage wrote it.
    """
    scheme, where = _located(place)
    return cast("Store", await _loaded(STORES, scheme)(where))


def end_of(place: str) -> End:
    """The store at ``place``, to be copied or to be copied to; nothing is opened yet.

    Raises ``StoreUnusable``.
    """
    scheme, where = _located(place)
    return cast("End", _loaded(ENDS, scheme)(where))


def _located(place: str) -> tuple[str, Path | str]:
    """The kind of store, and where that kind looks for it."""
    scheme, colon, _ = place.partition("://")
    if not colon:
        return "sqlite", Path(place) / _FILE
    if scheme not in STORES:
        raise StoreUnusable(
            f"there is no store of the kind {scheme}",
            field="store",
            value=place,
            remedy=f"Kinds: a folder, {', '.join(f'{kind}://' for kind in STORES)}.",
        )
    return scheme, _sqlite_file(place) if scheme == "sqlite" else place


def _sqlite_file(place: str) -> Path:
    parts = urlsplit(place)
    path = unquote(parts.path)
    file = Path(path[1:])
    if parts.netloc or not path.strip("/"):
        raise _misaddressed("the address names no file", place, Path("/srv/tonnage.db"))
    if not file.is_absolute():  # meant as absolute by whoever counts two slashes, not three
        raise _misaddressed("the address names no absolute path", place, Path("/") / file)
    return file


def _misaddressed(why: str, place: str, meant: Path) -> StoreUnusable:
    return StoreUnusable(
        why,
        field="store",
        value=place,
        remedy=f"Write sqlite:///{meant} with all four slashes, or a folder.",
    )


def _loaded(table: Mapping[str, str], scheme: str) -> Callable[..., Any]:
    module, name = table[scheme].split(":")
    try:
        loaded: Callable[..., Any] = getattr(import_module(module), name)
    except ModuleNotFoundError as error:
        needed, extra = _EXTRAS.get(scheme, ("", ""))
        if error.name != needed:
            raise
        raise StoreUnusable(
            f"{scheme}:// needs the Python package {needed}, which is not installed",
            field="store",
            value=scheme,
            remedy=f"pip install 'tonnage[{extra}]', or pip install {needed}.",
        ) from error
    return loaded
