"""Interceptors as context managers: what surrounds every call, whatever its shape.

gRPC shows an interceptor a call's handler and not the call, so the handler's behaviour is
wrapped. Services of libraries come through here too: their methods may be coroutines that
write to the context where ours are generators.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass
from typing import Any

import grpc
from grpc import aio

Context = aio.ServicerContext[Any, Any]
_OURS = "/tonnage."


@dataclass(slots=True)
class Call:
    """One call as it is made. ``answer`` is set once a unary one has succeeded; ``note`` is
    what one surrounding's ``around`` and ``during`` keep of it for each other."""

    method: str
    request: Any
    context: Context
    streaming: bool
    answer: Any = None
    note: Any = None

    @property
    def name(self) -> str:
        """The method's own name, such as ``SubmitRun``."""
        return self.method.rpartition("/")[2]

    @property
    def ours(self) -> bool:
        """Whether it is Tonnage's and not health or reflection."""
        return self.method.startswith(_OURS)


class Surrounding(aio.ServerInterceptor, ABC):
    """Surrounds each call with ``around``; what that raises ends the call."""

    @abstractmethod
    def around(self, call: Call) -> AbstractAsyncContextManager[None]:
        """The block that the call runs in."""

    def during(self, call: Call, responses: AsyncIterator[Any]) -> AsyncIterator[Any]:
        """The stream of a streaming call; as it comes, unless overridden."""
        del call
        return responses

    async def intercept_service(
        self,
        continuation: Callable[[grpc.HandlerCallDetails], Awaitable[Any]],
        handler_call_details: grpc.HandlerCallDetails,
    ) -> Any:
        """Wrap the method's handler."""
        handler = await continuation(handler_call_details)
        if handler is None:
            return None
        method = handler_call_details.method
        make, behaviour = _shape(handler)
        wrapped = (self._streaming if handler.response_streaming else self._unary)(
            behaviour, method
        )
        return make(wrapped, handler.request_deserializer, handler.response_serializer)

    def _unary(
        self, behaviour: Callable[..., Awaitable[Any]], method: str
    ) -> Callable[..., Awaitable[Any]]:
        async def call(request: Any, context: Context) -> Any:
            made = Call(method, request, context, streaming=False)
            async with self.around(made):
                made.answer = await behaviour(request, context)
            return made.answer

        return call

    def _streaming(
        self, behaviour: Callable[..., Any], method: str
    ) -> Callable[..., AsyncIterator[Any]]:
        async def call(request: Any, context: Context) -> AsyncIterator[Any]:
            made = Call(method, request, context, streaming=True)
            async with self.around(made):
                async for response in self.during(made, _iterated(behaviour(request, context))):
                    yield response

        return call


def _shape(handler: Any) -> tuple[Callable[..., Any], Callable[..., Any]]:
    """How a handler of this shape is made, and what it does."""
    if handler.request_streaming and handler.response_streaming:
        return grpc.stream_stream_rpc_method_handler, handler.stream_stream
    if handler.request_streaming:
        return grpc.stream_unary_rpc_method_handler, handler.stream_unary
    if handler.response_streaming:
        return grpc.unary_stream_rpc_method_handler, handler.unary_stream
    return grpc.unary_unary_rpc_method_handler, handler.unary_unary


async def _iterated(answers: Any) -> AsyncIterator[Any]:
    """The responses; none where the method writes them to the context itself."""
    if hasattr(answers, "__aiter__"):
        async for response in answers:
            yield response
    else:
        await answers
