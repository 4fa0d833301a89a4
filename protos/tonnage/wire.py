"""The one conversion between ``tonnage.model`` and ``tonnage.v1``.

It goes by field names: a dataclass field and a message field of the same name
hold the same thing. A field that is a union of dataclasses is the message's
``oneof`` of that name (or ``experiment``, ``payload``), whose members are
called after the classes in snake case. ``None`` is an absent field.
"""

from __future__ import annotations

import re
import types
from collections.abc import Callable, Mapping
from dataclasses import fields, is_dataclass
from enum import StrEnum
from functools import cache
from typing import Any, TypeVar, Union, get_args, get_origin, get_type_hints

from google.protobuf.message import DecodeError, Message

from tonnage import model
from tonnage.v1 import model_pb2

T = TypeVar("T")


class WireError(ValueError):
    """A message does not hold what the model requires; the text names the field."""


def to_message(value: Any) -> Any:
    """Return the ``tonnage.v1`` message for a ``tonnage.model`` dataclass.

    Raises ``WireError`` when a number does not fit its field.
    """
    message = getattr(model_pb2, type(value).__name__)()
    _fill(message, value)
    return message


def from_message(message: Message, cls: type[T]) -> T:
    """Return the ``cls`` of ``tonnage.model`` that ``message`` holds.

    Raises ``WireError`` when a required part is absent or an enumeration is
    unspecified or unknown, as a newer peer may send.
    """
    name = message.DESCRIPTOR.name
    key: type = cls  # every class is hashable, but mypy does not see it of a type[T]
    return cls(**{field: read(message, name) for field, read in _readers(key)})


def to_bytes(value: Any) -> bytes:
    """Return a ``tonnage.model`` dataclass as the bytes of its message."""
    return bytes(to_message(value).SerializeToString())


def from_bytes(data: bytes, cls: type[T]) -> T:
    """Return the ``cls`` of ``tonnage.model`` whose message ``data`` holds.

    Raises ``WireError`` when it holds none.
    """
    try:
        message = getattr(model_pb2, cls.__name__).FromString(data)
    except DecodeError as error:
        raise WireError(f"{cls.__name__}: not a message of this kind") from error
    return from_message(message, cls)


M = TypeVar("M", bound=Message)


def filled(message: M, value: Any) -> M:
    """Return ``message`` with the fields of the dataclass ``value``, whatever its name.

    For messages that mirror a dataclass of the agent's or the collector's own.
    """
    _fill(message, value)
    return message


Writer = Callable[[Any, Any], None]


def _fill(message: Message, value: Any) -> None:
    key: type = type(value)
    for name, write in _writers(key, message.DESCRIPTOR):
        item = getattr(value, name)
        if item is not None:
            write(message, item)


@cache
def _writers(cls: type, message: Any) -> tuple[tuple[str, Writer], ...]:
    """How each field of ``cls`` gets into messages of this descriptor."""
    found = message.fields_by_name
    return tuple((f.name, _writer(f.name, found.get(f.name), message)) for f in fields(cls))


def _writer(name: str, field: Any, message: Any) -> Writer:
    if field is None:
        return _write_member
    if field.message_type is not None and field.message_type.GetOptions().map_entry:
        return lambda target, item: getattr(target, name).update(item)
    if field.is_repeated:
        return _repeated_writer(name, field)
    if field.message_type is not None:
        return lambda target, item: _write_part(getattr(target, name), item)
    convert = _to_scalar(field)

    def write(target: Any, item: Any) -> None:
        try:
            setattr(target, name, convert(item))
        except (ValueError, TypeError) as error:
            raise WireError(f"{message.name}.{name}: {item!r} does not fit: {error}") from error

    return write


def _write_member(message: Any, item: Any) -> None:
    """A member of a oneof, by its class."""
    _write_part(getattr(message, _snake(type(item).__name__)), item)


def _write_part(part: Message, item: Any) -> None:
    part.SetInParent()
    _fill(part, item)


def _repeated_writer(name: str, field: Any) -> Writer:
    if field.message_type is not None:

        def write(target: Any, items: Any) -> None:
            repeated = getattr(target, name)
            for item in items:
                _fill(repeated.add(), item)

        return write
    convert = _to_scalar(field)
    return lambda target, items: getattr(target, name).extend(map(convert, items))


def _to_scalar(field: Any) -> Callable[[Any], Any]:
    if field.enum_type is None:
        return lambda item: item
    values, prefix = field.enum_type.values_by_name, _enum_prefix(field.enum_type.name)
    return lambda item: values[prefix + item.name].number if isinstance(item, StrEnum) else item


Reader = Callable[[Any, str], Any]


@cache
def _readers(cls: type) -> tuple[tuple[str, Reader], ...]:
    hints = get_type_hints(cls, vars(model))
    return tuple((f.name, _reader(f.name, hints[f.name])) for f in fields(cls))


def _reader(name: str, hint: Any) -> Reader:
    options = [a for a in get_args(hint) if a is not types.NoneType]
    if get_origin(hint) in (Union, types.UnionType):
        optional = types.NoneType in get_args(hint)
        if len(options) > 1:
            return _oneof_reader(name, options, optional)
        return _optional_reader(name, _converter(options[0]))
    origin = get_origin(hint)
    if origin is tuple:
        convert = _converter(options[0])
        return lambda message, _: tuple(convert(item) for item in getattr(message, name))
    if origin is Mapping:
        return lambda message, _: dict(getattr(message, name))
    convert = _converter(hint)
    if is_dataclass(hint):
        return _required_reader(name, convert)
    return lambda message, where: _located(convert, getattr(message, name), f"{where}.{name}")


def _located(convert: Callable[[Any], Any], value: Any, where: str) -> Any:
    try:
        return convert(value)
    except KeyError as error:
        raise WireError(f"{where}: unspecified or unknown value {value!r}") from error


def _required_reader(name: str, convert: Callable[[Any], Any]) -> Reader:
    def read(message: Any, where: str) -> Any:
        if not message.HasField(name):
            raise WireError(f"{where}.{name}: absent, but required")
        return convert(getattr(message, name))

    return read


def _optional_reader(name: str, convert: Callable[[Any], Any]) -> Reader:
    return lambda message, _: convert(getattr(message, name)) if message.HasField(name) else None


def _oneof_reader(name: str, options: list[type], optional: bool) -> Reader:
    by_field = {_snake(option.__name__): option for option in options}

    def read(message: Any, where: str) -> Any:
        chosen = message.WhichOneof(name)
        if chosen is None and optional:
            return None
        if chosen not in by_field:
            raise WireError(f"{where}.{name}: none of {', '.join(by_field)} is set")
        return from_message(getattr(message, chosen), by_field[chosen])

    return read


def _converter(hint: Any) -> Callable[[Any], Any]:
    if is_dataclass(hint) and isinstance(hint, type):
        return lambda item: from_message(item, hint)
    if isinstance(hint, type) and issubclass(hint, StrEnum):
        return _enum_members(hint).__getitem__
    return lambda item: item


@cache
def _enum_members(cls: type[StrEnum]) -> dict[int, StrEnum]:
    values = getattr(model_pb2, cls.__name__).DESCRIPTOR.values_by_name
    prefix = _enum_prefix(cls.__name__)
    return {values[prefix + member.name].number: member for member in cls}


@cache
def _enum_prefix(name: str) -> str:
    return _snake(name).upper() + "_"


@cache
def _snake(name: str) -> str:
    return re.sub(r"(?<=[a-z0-9])(?=[A-Z])", "_", name).lower()
