"""The connection, its deadlines, and its border to gRPC."""

from __future__ import annotations

import asyncio
import getpass
from collections.abc import AsyncIterator, Iterator
from contextlib import contextmanager
from typing import Any, Self, TypeVar

import grpc
from grpc import aio
from pydantic import ValidationError

from collector import errors
from collector.client.credentials import channel_credentials
from collector.client.refusal import why_refused
from collector.endpoint import Endpoint
from collector.problems import error_of
from tonnage import wire
from tonnage.identity import Identity, Role
from tonnage.problems import carried
from tonnage.tls import peer_options
from tonnage.v1 import collector_pb2_grpc

_OPTIONS: list[tuple[str, Any]] = [
    ("grpc.max_receive_message_length", 256 * 2**20),
    ("grpc.keepalive_time_ms", 15_000),
    ("grpc.keepalive_timeout_ms", 10_000),
    ("grpc.http2.max_pings_without_data", 0),
    ("grpc.enable_http_proxy", 0),
]
QUICK_SECONDS = 15.0
SLOW_SECONDS = 120.0

COLLECTOR = Identity(Role.COLLECTOR, "collector")

T = TypeVar("T")


class Connection:
    """A connection to one collector. Use it as an async context manager.

    Raises ``ConfigError`` when the endpoint's certificate cannot be used.
    """

    def __init__(self, at: Endpoint | str) -> None:
        self.endpoint = at if isinstance(at, Endpoint) else Endpoint(at)
        self.address = self.endpoint.address
        self._channel = _channel(self.endpoint)
        self.stub = collector_pb2_grpc.CollectorServiceStub(self._channel)

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.close()

    async def close(self) -> None:
        """Let go of the connection. Idempotent."""
        await self._channel.close()

    async def call(self, method: Any, request: Any, seconds: float = QUICK_SECONDS) -> Any:
        """One call, within its time."""
        try:
            with self.translated():
                return await method(request, timeout=seconds, metadata=who_calls())
        except errors.Unreachable as error:
            raise await self.explained(error) from error

    async def stream(
        self, method: Any, request: Any, seconds: float | None = None
    ) -> AsyncIterator[Any]:
        """The answers of one streaming call as they come, within its time."""
        try:
            with self.translated():
                async for answer in method(request, timeout=seconds, metadata=who_calls()):
                    yield answer
        except errors.Unreachable as error:
            raise await self.explained(error) from error

    async def explained(self, error: errors.Unreachable) -> errors.TonnageError:
        """``error``, or the reason that the two sides' TLS does not fit, if it is that."""
        if isinstance(error.__cause__, aio.AioRpcError) and carried(error.__cause__) is None:
            return await asyncio.to_thread(why_refused, self.endpoint) or error
        return error

    def many(self, messages: Any, cls: type[T]) -> tuple[T, ...]:
        """Each message as a ``cls``."""
        with self.translated():
            return tuple(wire.from_message(message, cls) for message in messages)

    @contextmanager
    def translated(self) -> Iterator[None]:
        """The border to gRPC: nothing of it gets past."""
        try:
            yield
        except aio.AioRpcError as error:
            raise rebuild(error, self.address) from error
        except (wire.WireError, ValidationError) as error:
            raise errors.TonnageError(
                f"the collector's answer cannot be read: {str(error).splitlines()[0]}",
                remedy="Use the same version of Tonnage on both sides.",
            ) from error


def who_calls() -> tuple[tuple[str, str], ...]:
    """Metadata with the user's name: what the audit log says where there is no certificate."""
    try:
        user = getpass.getuser()
    except (OSError, KeyError):
        return ()
    return (("tonnage-user", user),) if user.isascii() and user.isprintable() else ()


def _channel(at: Endpoint) -> aio.Channel:
    if at.tls_dir is None:
        return aio.insecure_channel(at.address, options=_OPTIONS)
    options = [*_OPTIONS, *peer_options(COLLECTOR)]
    return aio.secure_channel(at.address, channel_credentials(at.tls_dir), options=options)


def rebuild(error: aio.AioRpcError, address: str) -> errors.TonnageError:
    """Return the error that the collector raised, or ``Unreachable``."""
    problem = carried(error)
    if problem is not None:
        return error_of(problem)
    code, details = error.code(), error.details() or ""
    if code in (grpc.StatusCode.UNAVAILABLE, grpc.StatusCode.DEADLINE_EXCEEDED):
        late = code is grpc.StatusCode.DEADLINE_EXCEEDED
        return unreachable(address, "did not answer in time" if late else "does not answer")
    if code in (grpc.StatusCode.INVALID_ARGUMENT, grpc.StatusCode.NOT_FOUND):
        return errors.InvalidInput(details.rstrip("."))
    return errors.TonnageError(f"the collector answered {code.name}: {details}".rstrip("."))


def unreachable(address: str, what: str) -> errors.Unreachable:
    """Return the error of a collector that is not there."""
    return errors.Unreachable(
        f"the collector {what}",
        field="--collector",
        value=address,
        remedy="Start one with tonnage serve, or name another address.",
    )
