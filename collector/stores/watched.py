"""A store that tells of every operation it failed at."""

from __future__ import annotations

import functools
import inspect
from collections.abc import AsyncGenerator, Callable, Coroutine
from typing import Any, cast

from collector.errors import SequenceGap, StoreError, UnstorableEvent
from collector.stores.base import Store

# These say that what an agent sent cannot be stored, not that the store failed.
_REFUSALS = (SequenceGap, UnstorableEvent)


def watched(store: Store, failed: Callable[[], None]) -> Store:
    """``store``, with ``failed`` called at each ``StoreError`` of its own before it is raised."""
    return cast("Store", _Watched(store, failed))


class _Watched:
    """Hands on whatever is asked for: a store has many methods, and none is special here."""

    def __init__(self, store: Store, failed: Callable[[], None]) -> None:
        self._store = store
        self._failed = failed

    def __getattr__(self, name: str) -> Any:
        found = getattr(self._store, name)
        if inspect.iscoroutinefunction(found):
            found = self._awaited(found)
        elif inspect.isasyncgenfunction(found):
            found = self._iterated(found)
        self.__dict__[name] = found
        return found

    def _awaited(
        self, method: Callable[..., Coroutine[Any, Any, Any]]
    ) -> Callable[..., Coroutine[Any, Any, Any]]:
        @functools.wraps(method)
        async def call(*args: Any, **kwargs: Any) -> Any:
            try:
                return await method(*args, **kwargs)
            except StoreError as error:
                self._note(error)
                raise

        return call

    def _iterated(
        self, method: Callable[..., AsyncGenerator[Any, None]]
    ) -> Callable[..., AsyncGenerator[Any, None]]:
        @functools.wraps(method)
        async def batches(*args: Any, **kwargs: Any) -> AsyncGenerator[Any, None]:
            inner = method(*args, **kwargs)
            try:
                async for batch in inner:
                    yield batch
            except StoreError as error:
                self._note(error)
                raise
            finally:
                await inner.aclose()

        return batches

    def _note(self, error: StoreError) -> None:
        if not isinstance(error, _REFUSALS):
            self._failed()
