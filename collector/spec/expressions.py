"""Expressions over a host: ``cpus >= 4 and labels.rack == 'a'``.

A small part of Python's expressions, evaluated by simpleeval: names out of a closed
set, literals, arithmetic without powers and shifts, comparisons, ``in``, ``and``,
``or``, ``not``. Nothing can be called, and no attribute be read but of ``labels``. A
label that a host has not is the empty text.
"""

from __future__ import annotations

import ast
import operator
from collections.abc import Callable, Mapping
from difflib import get_close_matches
from typing import Any

from simpleeval import EvalWithCompoundTypes, InvalidExpression

LONGEST = 500
_DEEPEST = 32
_LABELS = "labels"
SIZES = {"MiB": 2**20, "GiB": 2**30}
NAMES = (
    "name",
    "state",
    "cpus",
    "memory",
    "kernel",
    "os",
    "architecture",
    "cgroup",
    "virtualization",
    _LABELS,
    "runtimes",
    *SIZES,
)
_KNOWN = f"Known names: {', '.join(NAMES)}."


def _of_numbers(work: Callable[[Any, Any], Any]) -> Callable[[Any, Any], Any]:
    """``work`` for numbers alone: a text or a list could be multiplied without end."""

    def worked(left: Any, right: Any) -> Any:
        if not isinstance(left, int | float) or not isinstance(right, int | float):
            raise TypeError("arithmetic is for numbers")
        return work(left, right)

    return worked


_OPERATORS: dict[type[ast.AST], Callable[..., Any]] = {
    ast.Add: _of_numbers(operator.add),
    ast.Sub: _of_numbers(operator.sub),
    ast.Mult: _of_numbers(operator.mul),
    ast.Div: _of_numbers(operator.truediv),
    ast.FloorDiv: _of_numbers(operator.floordiv),
    ast.USub: operator.neg,
    ast.Not: operator.not_,
    ast.Eq: operator.eq,
    ast.NotEq: operator.ne,
    ast.Lt: operator.lt,
    ast.LtE: operator.le,
    ast.Gt: operator.gt,
    ast.GtE: operator.ge,
    ast.In: lambda item, of: item in of,
    ast.NotIn: lambda item, of: item not in of,
}
_SHAPES = (ast.BoolOp, ast.And, ast.Or, ast.UnaryOp, ast.BinOp, ast.Compare, ast.Load)
_CONSTANTS = (str, int, float)
_NODES = (*_SHAPES, *_OPERATORS, ast.List, ast.Tuple, ast.Constant, ast.Name, ast.Subscript)


class ExpressionError(ValueError):
    """What is wrong with an expression, where, and the way out."""

    def __init__(self, message: str, remedy: str, at: int | None = None) -> None:
        self.message = message if at is None else f"{message}, at character {at + 1}"
        self.remedy = remedy
        super().__init__(self.message)


class Labels(dict[str, str]):
    """A host's labels; one that it has not is the empty text."""

    def __missing__(self, key: str) -> str:
        return ""


class Expression:
    """An expression that was read and holds nothing but what is allowed."""

    def __init__(self, text: str) -> None:
        """Raises ``ExpressionError``."""
        self.text = text
        tree = _parsed(text)
        _check(tree.body, depth=1)
        self._tree: ast.expr = _Subscripts().visit(tree.body)

    def matches(self, values: Mapping[str, Any]) -> bool:
        """Whether it holds with ``values`` for its names.

        Raises ``ExpressionError`` where kinds do not fit, as a text less than a number.
        """
        evaluator = EvalWithCompoundTypes(
            operators=_OPERATORS, functions={}, names={**SIZES, **values}
        )
        try:
            return bool(evaluator.eval(self.text, previously_parsed=self._tree))
        except (TypeError, ArithmeticError, InvalidExpression) as error:
            remedy = "Compare numbers with numbers, texts with texts; labels are texts."
            raise ExpressionError(f"cannot be evaluated: {error}", remedy) from error


def _parsed(text: str) -> ast.Expression:
    if len(text) > LONGEST:
        raise ExpressionError(f"is longer than {LONGEST} characters", "Use labels.")
    try:
        return ast.parse(text.strip(), mode="eval")
    except SyntaxError as error:
        at = error.offset - 1 if error.offset and error.lineno == 1 else None
        raise ExpressionError("is not an expression", _EXAMPLE, at) from error
    except (ValueError, RecursionError, MemoryError) as error:
        raise ExpressionError("is not an expression", _EXAMPLE) from error


_EXAMPLE = "For example: cpus >= 4 and labels.rack == 'a'."


def _check(node: ast.AST, depth: int) -> None:
    """Refuse all but what is listed: what this does not know is not evaluated."""
    at = getattr(node, "col_offset", None)
    if depth > _DEEPEST:
        raise ExpressionError(f"is nested more than {_DEEPEST} deep", "Write it flatter.", at)
    if isinstance(node, ast.Attribute):
        if isinstance(node.value, ast.Name) and node.value.id == _LABELS:
            return
        raise ExpressionError("reads what only labels have", "Write labels.NAME.", at)
    constant = not isinstance(node, ast.Constant) or isinstance(node.value, _CONSTANTS)
    if not isinstance(node, _NODES) or not constant:
        what = type(node).__name__.lower()
        raise ExpressionError(f"holds what hosts are not chosen by ({what})", _EXAMPLE, at)
    if isinstance(node, ast.Name) and node.id not in NAMES:
        close = get_close_matches(node.id, NAMES, n=1)
        guess = f"Did you mean {close[0]}? " if close else ""
        raise ExpressionError(f"no such name: {node.id}", guess + _KNOWN, at)
    if isinstance(node, ast.Subscript):
        _check_subscript(node, at)
    for child in ast.iter_child_nodes(node):
        _check(child, depth + 1)


def _check_subscript(node: ast.Subscript, at: int | None) -> None:
    of_labels = isinstance(node.value, ast.Name) and node.value.id == _LABELS
    by_text = isinstance(node.slice, ast.Constant) and isinstance(node.slice.value, str)
    if not (of_labels and by_text):
        raise ExpressionError("reads a part of what has none", "Write labels['NAME'].", at)


class _Subscripts(ast.NodeTransformer):
    """Reads ``labels.rack`` as ``labels['rack']``: no attribute is ever looked up."""

    def visit_Attribute(self, node: ast.Attribute) -> ast.AST:
        """Return the subscript of the same meaning."""
        key = ast.copy_location(ast.Constant(node.attr), node)
        return ast.copy_location(ast.Subscript(node.value, key, ast.Load()), node)
