"""How a SQL store is reached, and the border to the database."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Awaitable, Callable, Iterator, Sequence
from contextlib import AbstractAsyncContextManager, contextmanager
from typing import Any, TypeVar

from sqlalchemy import Executable, RowMapping, Select
from sqlalchemy.exc import SQLAlchemyError
from sqlalchemy.ext.asyncio import AsyncConnection

from collector.errors import StoreError

T = TypeVar("T")


class SqlConnections(ABC):
    """Connections of one engine's kind."""

    @abstractmethod
    def reading(self) -> AbstractAsyncContextManager[AsyncConnection]:
        """A connection that sees one consistent snapshot."""

    @abstractmethod
    def writing(self) -> AbstractAsyncContextManager[AsyncConnection]:
        """A connection inside a transaction that commits at the end."""

    async def rows(self, query: Select[Any]) -> Sequence[RowMapping]:
        """Every row that answers ``query``."""
        with translated():
            async with self.reading() as connection:
                found: Sequence[RowMapping] = (await connection.execute(query)).mappings().all()
                return found

    async def transact(self, work: Callable[[AsyncConnection], Awaitable[T]]) -> T:
        """Do ``work`` in one transaction and return what it returns.

        An engine may do it again from the start when the database asks for that, so
        it changes nothing but the database.
        """
        with translated():
            async with self.writing() as connection:
                return await work(connection)

    async def write(self, *changes: Executable) -> None:
        """Carry out ``changes`` in one transaction."""

        async def work(connection: AsyncConnection) -> None:
            for change in changes:
                await connection.execute(change)

        await self.transact(work)


@contextmanager
def translated() -> Iterator[None]:
    """The border to the database: its errors become ``StoreError``."""
    try:
        yield
    except SQLAlchemyError as error:
        cause = getattr(error, "orig", None) or error
        raise StoreError(f"the store failed: {cause}") from error
    except (OSError, OverflowError, ValueError, KeyError) as error:
        raise StoreError(f"the store holds or was given what it cannot read: {error!r}") from error
