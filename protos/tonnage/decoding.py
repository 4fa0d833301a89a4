"""What is no message of its call: told as such, where gRPC would show a Python error."""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any

import grpc
from google.protobuf.message import DecodeError

from tonnage.surrounding import Call, Surrounding
from tonnage.wire import WireError


@dataclass(frozen=True, slots=True)
class Undecodable:
    """Bytes that came where a message was due."""

    reason: str


class Decoding(Surrounding):
    """Raises ``WireError`` for an undecodable request, which the interceptors around it turn
    into a status. The innermost of them, so that whoever may not call is told that first."""

    async def intercept_service(
        self,
        continuation: Callable[[grpc.HandlerCallDetails], Awaitable[Any]],
        handler_call_details: grpc.HandlerCallDetails,
    ) -> Any:
        """See ``Surrounding``; the handler's deserializer no longer raises."""
        handler = await super().intercept_service(continuation, handler_call_details)
        if handler is None:
            return None
        return handler._replace(request_deserializer=_lenient(handler.request_deserializer))

    @asynccontextmanager
    async def around(self, call: Call) -> AsyncIterator[None]:
        """See ``Surrounding``."""
        if isinstance(call.request, Undecodable):
            raise WireError(f"these bytes are no request of {call.name}: {call.request.reason}")
        yield


def _lenient(deserialize: Callable[[bytes], Any] | None) -> Callable[[bytes], Any] | None:
    if deserialize is None:
        return None

    def decode(data: bytes) -> Any:
        try:
            return deserialize(data)
        except DecodeError as error:
            return Undecodable(str(error))

    return decode
