"""A few SVG elements, escaped."""

from __future__ import annotations

from collections.abc import Iterable

from markupsafe import Markup, escape

WIDE = 920
NARROW = 350


def element(name: str, *children: str, **attributes: object) -> Markup:
    """``<name ...>children</name>``; ``_`` in names is ``-``, a trailing one is dropped."""
    told = Markup("").join(
        Markup(' {}="{}"').format(key.rstrip("_").replace("_", "-"), _text(value))
        for key, value in attributes.items()
        if value is not None
    )
    inner = Markup("").join(escape(child) for child in children)
    return Markup("<{0}{1}>{2}</{0}>").format(name, told, inner)


def _text(value: object) -> object:
    return f"{value:.1f}".removesuffix(".0") if isinstance(value, float) else value


def chart(width: int, height: float, label: str, parts: Iterable[str]) -> Markup:
    """A whole drawing with its description for those who cannot see it."""
    return element(
        "svg",
        element("title", label),
        *parts,
        viewBox=f"0 0 {width} {height:.0f}",
        width=width,
        height=round(height),
        role="img",
        aria_label=label,
        class_="narrow" if width == NARROW else "wide",
    )


def text(x: float, y: float, content: str, kind: str = "", anchor: str = "start") -> Markup:
    """A line of text on its baseline; ``kind`` is a class of the style sheet."""
    return element("text", content, x=x, y=y, text_anchor=anchor, class_=kind or None)


def line(x1: float, y1: float, x2: float, y2: float, kind: str) -> Markup:
    """A straight line."""
    return element("line", x1=x1, y1=y1, x2=x2, y2=y2, class_=kind)


def path(points: Iterable[tuple[float, float]], kind: str) -> Markup:
    """A line through points, each given after the one before it."""
    steps = " ".join(f"{'L' if i else 'M'}{x:.1f} {y:.1f}" for i, (x, y) in enumerate(points))
    return element("path", d=steps, class_=kind)


def dot(x: float, y: float, radius: float, kind: str, title: str = "") -> Markup:
    """A circle, with a title that shows when it is pointed at."""
    inside = [element("title", title)] if title else []
    return element("circle", *inside, cx=x, cy=y, r=radius, class_=kind)


def bar(x: float, y: float, width: float, height: float, kind: str, title: str = "") -> Markup:
    """A filled rectangle, at least a pixel wide so that it is seen."""
    inside = [element("title", title)] if title else []
    return element(
        "rect", *inside, x=x, y=y, width=max(width, 1.0), height=height, rx=1.5, class_=kind
    )


def area(x: float, y: float, width: float, height: float, kind: str) -> Markup:
    """A rectangle behind other marks, at least a pixel wide."""
    return element("rect", x=x, y=y, width=max(width, 1.0), height=height, class_=kind)
