"""Expressions over a host: what they say, and that nothing else gets through."""

from __future__ import annotations

import time
from typing import Any

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from collector.spec.expressions import LONGEST, NAMES, Expression, ExpressionError, Labels

_HOST: dict[str, Any] = {
    "name": "h1",
    "state": "healthy",
    "cpus": 8,
    "memory": 16 * 2**30,
    "kernel": "6.1.0",
    "os": "Debian 12",
    "architecture": "x86_64",
    "cgroup": "v2",
    "virtualization": "",
    "labels": Labels({"rack": "a", "slot-no": "7", "items": "three"}),
    "runtimes": ["docker", "fake"],
}


@pytest.mark.parametrize(
    "text",
    [
        "cpus >= 4 and labels.rack == 'a'",
        "cpus * 2 == 16 and cpus / 2 == 4 and cpus // 3 == 2 and -cpus + 9 - 1 == 0",
        "4 < cpus <= 8",
        "memory >= 16 * GiB and memory < 17 * 1024 * MiB",
        "'docker' in runtimes and 'qemu-microvm' not in runtimes",
        "name in ['h1', 'h2'] or name in ('h3',)",
        "labels['slot-no'] == '7' and labels.items == 'three'",
        "labels.gpu == '' and not labels.gpu and 'gpu' not in labels",
        "not virtualization",
        "  state != 'lost'  ",
        "'Debian' in os",
    ],
)
def test_what_holds_of_the_host(text: str) -> None:
    assert Expression(text).matches(_HOST)
    assert not Expression(f"not ({text.strip()})").matches(_HOST)


@pytest.mark.parametrize(
    ("text", "said", "remedy"),
    [
        ("", "is not an expression", "For example"),
        ("cpus >", "is not an expression", "For example"),
        ("cpus = 4", "is not an expression", "For example"),
        ("cpus > 1 and cpu > 4", "no such name: cpu, at character 14", "Did you mean cpus?"),
        ("__import__", "no such name: __import__", "Known names: name, state, cpus"),
        ("open('/etc/passwd')", r"holds what hosts are not chosen by \(call\)", "For example"),
        ("2 ** 1000", r"\(pow\)", "For example"),
        ("1 << 9", r"\(lshift\)", "For example"),
        ("'%99999d' % 3", r"\(mod\)", "For example"),
        ("[x for x in runtimes]", r"\(listcomp\)", "For example"),
        ("(lambda: 1)", r"\(lambda\)", "For example"),
        ("f'{cpus}' == '8'", r"\(joinedstr\)", "For example"),
        ("name.upper", "reads what only labels have", "labels.NAME"),
        ("labels.rack.upper", "reads what only labels have", "labels.NAME"),
        ("runtimes[0]", "reads a part of what has none", "labels['NAME']"),
        ("labels[name]", "reads a part of what has none", "labels['NAME']"),
        ("b'a' in name", r"\(constant\)", "For example"),
        ("- " * 40 + "1", "nested more than 32 deep", "flatter"),
        ("1 " * LONGEST, "is longer than 500 characters", "labels"),
        ("name\x00", "is not an expression", "For example"),
    ],
)
def test_what_is_not_an_expression_over_hosts_is_told(text: str, said: str, remedy: str) -> None:
    with pytest.raises(ExpressionError, match=said) as refused:
        Expression(text)
    assert remedy in refused.value.remedy


@pytest.mark.parametrize(
    "text",
    ["labels.rack > 3", "name * 1000000", "'a' + 'b'", "[1] * 9", "cpus in 3", "cpus / 0", "-name"],
)
def test_kinds_that_do_not_fit_are_told(text: str) -> None:
    with pytest.raises(ExpressionError, match="cannot be evaluated") as refused:
        Expression(text).matches(_HOST)
    assert refused.value.remedy


_LEAVES = st.one_of(
    st.sampled_from([*NAMES, "labels.rack", "labels['x']", "True", "None", "[]", "1e999"]),
    st.integers(0, 10**30).map(str),
    st.text(max_size=5).map(repr),
)


def _joined(inner: st.SearchStrategy[str]) -> st.SearchStrategy[str]:
    operators = ["+", "-", "*", "/", "//", "%", "**", "<<", "==", "<", "in", "not in", "and", "or"]
    pair = st.tuples(inner, st.sampled_from(operators), inner)
    return st.one_of(
        pair.map(lambda part: f"({part[0]} {part[1]} {part[2]})"),
        inner.map(lambda part: f"[{part}]"),
        inner.map(lambda part: f"-{part}"),
        inner.map(lambda part: f"not {part}"),
        inner.map(lambda part: f"{part}({part})"),
        inner.map(lambda part: f"{part}.real"),
    )


@given(st.one_of(st.text(max_size=60), st.recursive(_LEAVES, _joined, max_leaves=20)))
@example("((((" * 100)
@example("9" * 499)
@example("*".join(["9" * 60] * 8))
@example("[" * 90 + "]" * 90)
@example("\ud800 == name")
@example("1if 1else 2")
def test_whatever_is_written_it_is_answered_or_told_and_soon(text: str) -> None:
    began = time.process_time()
    answer = _answer(text)
    assert answer in (True, False) or (answer.message and answer.remedy)
    assert time.process_time() - began < 1


def _answer(text: str) -> Any:
    try:
        return Expression(text).matches(_HOST)
    except ExpressionError as error:
        return error
