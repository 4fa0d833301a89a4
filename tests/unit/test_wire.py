"""The words and the wire: the same fields on both sides, and nothing lost in between."""

import types
from collections.abc import Mapping
from dataclasses import fields, is_dataclass
from enum import StrEnum
from typing import Any, Union, get_args, get_origin, get_type_hints

import pytest
from google.protobuf.descriptor import Descriptor, FieldDescriptor
from hypothesis import given, settings
from hypothesis import strategies as st

from tonnage import model, wire
from tonnage.v1 import model_pb2

DATACLASSES = [
    item for item in vars(model).values() if isinstance(item, type) and is_dataclass(item)
]
ENUMS = [
    item
    for item in vars(model).values()
    if isinstance(item, type) and issubclass(item, StrEnum) and item is not StrEnum
]


def message_fields(descriptor: Descriptor) -> set[str]:
    """A message's fields, those of a oneof by the oneof's name."""
    names = set()
    for field in descriptor.fields:
        oneof = field.containing_oneof
        real = oneof is not None and not oneof.name.startswith("_")
        names.add(oneof.name if real and oneof is not None else field.name)
    return names


def bounds(field: FieldDescriptor) -> tuple[int, int]:
    signed = {field.TYPE_INT32: 31, field.TYPE_INT64: 63}
    unsigned = {field.TYPE_UINT32: 32, field.TYPE_UINT64: 64}
    if field.type in signed:
        return -(2 ** signed[field.type]), 2 ** signed[field.type] - 1
    return 0, 2 ** unsigned[field.type] - 1


def values(cls: type) -> st.SearchStrategy[Any]:
    """Any value of a dataclass that its message can hold."""
    hints = get_type_hints(cls)
    descriptor = getattr(model_pb2, cls.__name__).DESCRIPTOR
    parts = {
        f.name: part(hints[f.name], descriptor.fields_by_name.get(f.name)) for f in fields(cls)
    }
    return st.builds(cls, **parts)


def part(hint: Any, field: FieldDescriptor | None) -> st.SearchStrategy[Any]:
    origin, arguments = get_origin(hint), get_args(hint)
    if origin in (Union, types.UnionType):
        return st.one_of(*(part(argument, field) for argument in arguments))
    if origin is tuple:
        return st.lists(part(arguments[0], field), max_size=3).map(tuple)
    if origin is Mapping:
        return st.dictionaries(st.text(max_size=5), st.text(max_size=5), max_size=3)
    if hint is types.NoneType:
        return st.none()
    if is_dataclass(hint):
        return st.deferred(lambda: values(hint))  # type: ignore[arg-type] # a class, seen above
    if issubclass(hint, StrEnum):
        return st.sampled_from(list(hint))
    return scalar(hint, field)


def scalar(hint: type, field: FieldDescriptor | None) -> st.SearchStrategy[Any]:
    if hint is int:
        assert field is not None
        return st.integers(*bounds(field))
    simple = {bool: st.booleans(), str: st.text(max_size=20), float: st.floats(allow_nan=False)}
    return simple[hint]


@pytest.mark.parametrize("cls", DATACLASSES, ids=lambda cls: cls.__name__)
def test_a_dataclass_and_its_message_have_the_same_fields(cls: type) -> None:
    descriptor = getattr(model_pb2, cls.__name__).DESCRIPTOR
    assert {field.name for field in fields(cls)} == message_fields(descriptor)


@pytest.mark.parametrize("cls", DATACLASSES, ids=lambda cls: cls.__name__)
def test_what_may_be_absent_is_optional_in_the_message(cls: type) -> None:
    descriptor = getattr(model_pb2, cls.__name__).DESCRIPTOR
    hints = get_type_hints(cls)
    for field in fields(cls):
        if field.name in descriptor.fields_by_name:
            has_presence = descriptor.fields_by_name[field.name].has_presence
            optional = types.NoneType in get_args(hints[field.name])
            required_message = is_dataclass(hints[field.name])
            assert has_presence == (optional or required_message), field.name


@pytest.mark.parametrize("enum", ENUMS, ids=lambda enum: enum.__name__)
def test_an_enumeration_has_the_same_members_on_the_wire(enum: type[StrEnum]) -> None:
    on_the_wire = getattr(model_pb2, enum.__name__).DESCRIPTOR.values
    names = {value.name for value in on_the_wire if value.number}
    prefix = wire._enum_prefix(enum.__name__)
    assert names == {prefix + member.name for member in enum}


def test_every_message_has_its_dataclass() -> None:
    messages = set(model_pb2.DESCRIPTOR.message_types_by_name)
    assert messages == {cls.__name__ for cls in DATACLASSES}


@pytest.mark.parametrize("cls", DATACLASSES, ids=lambda cls: cls.__name__)
def test_every_value_survives_the_wire(cls: type) -> None:
    @settings(max_examples=25, deadline=None)
    @given(values(cls))
    def survives(value: Any) -> None:
        sent = wire.to_message(value).SerializeToString()
        received = getattr(model_pb2, cls.__name__).FromString(sent)
        assert wire.from_message(received, cls) == value

    survives()


def test_none_stays_apart_from_zero() -> None:
    none = wire.to_message(model.Sample(1, 1, 1, pss_bytes=None))
    zero = wire.to_message(model.Sample(1, 1, 1, pss_bytes=0))
    assert wire.from_message(none, model.Sample).pss_bytes is None
    assert wire.from_message(zero, model.Sample).pss_bytes == 0


def test_a_message_of_a_newer_peer_names_the_field_it_holds() -> None:
    message = wire.to_message(model.Notice("x"))
    event = model_pb2.Event(sequence=1, recorded_at_unix_ns=1)
    assert message.message == "x"
    with pytest.raises(wire.WireError, match=r"Event\.payload"):
        wire.from_message(event, model.Event)
    with pytest.raises(wire.WireError, match=r"RunFinished\.state"):
        wire.from_message(model_pb2.RunFinished(), model.RunFinished)


def test_a_number_that_does_not_fit_is_refused_by_name() -> None:
    with pytest.raises(wire.WireError, match=r"HttpHealth\.port"):
        wire.to_message(model.HttpHealth(port=-1))
