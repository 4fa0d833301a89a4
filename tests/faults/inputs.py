"""What nobody should send: bytes, messages and experiment files, some of them nearly right."""

from __future__ import annotations

import copy
import json
from collections.abc import Callable
from typing import Any

from google.protobuf.descriptor import Descriptor, FieldDescriptor
from google.protobuf.message import Message
from google.protobuf.message_factory import GetMessageClass
from hypothesis import strategies as st

_DEPTH = 4
_TYPES = FieldDescriptor

# Words that lead further in than chance would.
_WORDS = (
    "h1",
    "run-1",
    "fake",
    "fake:ok",
    "default",
    "startup",
    "../..",
    "\0",
    "'; --",
    "x" * 3000,
)

_SCALARS: dict[int, st.SearchStrategy[Any]] = {
    _TYPES.TYPE_STRING: st.one_of(st.sampled_from(_WORDS), st.text(max_size=30)),
    _TYPES.TYPE_BYTES: st.binary(max_size=30),
    _TYPES.TYPE_BOOL: st.booleans(),
    _TYPES.TYPE_DOUBLE: st.one_of(st.sampled_from((0.0, -1.0, 1e300)), st.floats()),
    _TYPES.TYPE_INT32: st.integers(-(2**31), 2**31 - 1),
    _TYPES.TYPE_INT64: st.integers(-(2**63), 2**63 - 1),
    _TYPES.TYPE_UINT32: st.one_of(st.integers(0, 3), st.integers(0, 2**32 - 1)),
    _TYPES.TYPE_UINT64: st.one_of(st.integers(0, 3), st.integers(0, 2**64 - 1)),
}


def requests(descriptor: Descriptor) -> st.SearchStrategy[bytes]:
    """Bytes to send as a message: noise, a message, or one that was cut or altered."""
    whole = messages(descriptor).map(lambda message: message.SerializeToString())
    return st.one_of(whole, whole, _damaged(whole), st.binary(max_size=200))


def messages(descriptor: Descriptor, depth: int = _DEPTH) -> st.SearchStrategy[Message]:
    """Messages whose fields hold anything that their types allow."""
    fields = [field for field in descriptor.fields if depth > 0 or field.message_type is None]
    parts = {field.name: st.none() | _values(field, depth) for field in fields}
    return st.fixed_dictionaries(parts).map(_filler(descriptor))


def _filler(descriptor: Descriptor) -> Callable[[dict[str, Any]], Message]:
    cls = GetMessageClass(descriptor)
    return lambda values: cls(**{name: v for name, v in values.items() if v is not None})


def _values(field: FieldDescriptor, depth: int) -> st.SearchStrategy[Any]:
    if field.message_type is not None and field.message_type.GetOptions().map_entry:
        return st.dictionaries(st.text(max_size=8), st.text(max_size=8), max_size=3)
    single = _single(field, depth)
    return st.lists(single, max_size=3) if field.is_repeated else single


def _single(field: FieldDescriptor, depth: int) -> st.SearchStrategy[Any]:
    if (inner := field.message_type) is not None:
        return st.deferred(lambda: messages(inner, depth - 1))
    if field.enum_type is not None:
        return st.sampled_from([*field.enum_type.values_by_number, 99])
    return _SCALARS[field.type]


def _damaged(whole: st.SearchStrategy[bytes]) -> st.SearchStrategy[bytes]:
    def damage(data: bytes, at: int, byte: int, cut: bool) -> bytes:
        at %= len(data) + 1
        return data[:at] if cut else data[:at] + bytes([byte]) + data[at + 1 :]

    return st.builds(damage, whole, st.integers(0, 5000), st.integers(0, 255), st.booleans())


_JUNK: st.SearchStrategy[Any] = st.recursive(
    st.one_of(
        st.none(),
        st.booleans(),
        st.integers(),
        st.floats(),
        st.text(max_size=20),
        st.sampled_from(("64MiB", "-1s", "1e400GiB", "99999999999d", "${x}", "*", "9**9**9")),
    ),
    lambda inner: st.one_of(
        st.lists(inner, max_size=3), st.dictionaries(st.text(max_size=8), inner, max_size=3)
    ),
    max_leaves=6,
)

WHOLE: dict[str, Any] = {
    "name": "quick",
    "hosts": {"where": "cpus >= 1 and labels.rack == 'a'", "expect": 1, "wait": "1s"},
    "workload": {
        "image": "fake:ok",
        "readiness": {"log": "TONNAGE READY"},
        "environment": {"FAKE_READY_MS": "1"},
    },
    "targets": [{"runtime": "fake", "memory": "64MiB", "network": "none"}],
    "startup": {"trials": 3, "warmup": 0, "concurrency": [1, 2]},
    "density": {"step": 1, "max_instances": 3, "probes": 1, "slo": {"ready_p95": "1s"}},
    "footprint": {"counts": [1, 2], "repeats": 1, "settle": "1ms"},
}


def experiments() -> st.SearchStrategy[str]:
    """Experiment files as text: noise, other documents, and right ones with parts exchanged."""
    changes = st.lists(st.tuples(st.integers(0, 40), _JUNK), min_size=1, max_size=4)
    altered = changes.map(_altered)
    texts = st.one_of(altered, altered, _JUNK).map(_as_text)
    return st.one_of(texts, texts, st.text(max_size=120))


def _as_text(document: Any) -> str:
    return json.dumps(document, default=str)


def _altered(changes: list[tuple[int, Any]]) -> Any:
    """The whole experiment with some of its places holding something else."""
    document = copy.deepcopy(WHOLE)
    for place, value in changes:
        places = list(_places(document))
        holder, key = places[place % len(places)]
        holder[key] = value
    return document


def _places(node: Any) -> list[tuple[Any, Any]]:
    keys = list(node) if isinstance(node, dict) else range(len(node))
    found = [(node, key) for key in keys]
    for key in keys:
        if isinstance(node[key], dict | list):
            found += _places(node[key])
    return found
