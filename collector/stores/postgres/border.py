"""The border to PostgreSQL: what its errors mean, and which of them are tried again."""

from __future__ import annotations

import asyncio
import random
from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager
from typing import TypeVar

import asyncpg
import structlog
from sqlalchemy.exc import SQLAlchemyError

from collector.errors import StoreError

T = TypeVar("T")
_log = structlog.get_logger(__name__)

# Serialisation failure and deadlock: the same work may well succeed. A row that another
# collector added at the same moment (unique violation) is found by the second try.
_AGAIN = frozenset({"40001", "40P01", "23505"})
_TRIES = 12
_FIRST_SECONDS = 0.005
_MOST_SECONDS = 0.5
_LIBRARY = (asyncpg.PostgresError, asyncpg.InterfaceError, SQLAlchemyError, OSError)


async def retried(work: Callable[[], Awaitable[T]]) -> T:
    """Do ``work``, a whole transaction, until the database lets it through; a bounded
    number of times, after waits of random length, so that two who collide part."""
    longest = _FIRST_SECONDS
    for left in reversed(range(_TRIES)):
        try:
            return await work()
        except (asyncpg.PostgresError, SQLAlchemyError) as error:
            if left == 0 or _state(error) not in _AGAIN:
                raise
            _log.debug("tried again", sqlstate=_state(error))
        await asyncio.sleep(random.uniform(0, longest))  # noqa: S311 - not for secrets
        longest = min(2 * longest, _MOST_SECONDS)
    raise AssertionError("the last try returns or raises")


@contextmanager
def told(place: str) -> Iterator[None]:
    """Errors of the libraries become a ``StoreError`` that names ``place``."""
    try:
        yield
    except TimeoutError as error:
        raise _failed("PostgreSQL did not answer in time", place) from error
    except _LIBRARY as error:
        raise _failed(f"the store failed: {cause(error)}", place) from error


def cause(error: BaseException) -> BaseException:
    """What PostgreSQL or its driver said, below what SQLAlchemy wrapped around it."""
    original: BaseException | None = getattr(error, "orig", None)
    if original is None:
        return error
    return original.__cause__ or original


def _state(error: BaseException) -> str:
    return str(getattr(cause(error), "sqlstate", ""))


def _failed(why: str, place: str) -> StoreError:
    return StoreError(
        why,
        field="store",
        value=place,
        remedy="See the log of PostgreSQL; what is not stored yet is sent again.",
    )
