"""Sizes, durations and shares as people write them: ``128MiB``, ``250ms``, ``5%``.

Each is an annotation for a pydantic field: it reads the text, holds the value
within stated bounds, writes the text again, and describes itself in the JSON
Schema. A bare number is refused: its unit would be a guess.
"""

from __future__ import annotations

import math
import re
from collections.abc import Mapping
from dataclasses import dataclass
from fractions import Fraction
from typing import Annotated, Any, ClassVar

from pydantic import GetCoreSchemaHandler, GetJsonSchemaHandler
from pydantic_core import CoreSchema, PydanticCustomError, core_schema

_QUANTITY = re.compile(r"\s*(\d{1,18}(?:\.\d{1,9})?)\s*([A-Za-z%]+)\s*", re.ASCII)
_DECIMALS = 9  # a nanosecond, or a ten-millionth of a percent


@dataclass(frozen=True, slots=True)
class Quantity:
    """A number with a unit, between ``minimum`` and ``maximum``, both as text."""

    minimum: str
    maximum: str

    noun: ClassVar[str] = "quantity"
    example: ClassVar[str] = ""
    units: ClassVar[Mapping[str, Fraction]] = {}
    lookalikes: ClassVar[Mapping[str, str]] = {}
    whole: ClassVar[bool] = False

    def read(self, value: Any) -> Any:
        """Return the value in base units; raise ``PydanticCustomError`` if it is none."""
        number = self._parse(value)
        low, high = self._parse(self.minimum), self._parse(self.maximum)
        if not low <= number <= high:
            raise PydanticCustomError(
                "out_of_bounds",
                "outside of {minimum} to {maximum}",
                {"minimum": self.minimum, "maximum": self.maximum},
            )
        return number

    def write(self, value: float) -> str:
        """Return a short text that reads back as exactly ``value``."""
        exact = Fraction(value) if self.whole else Fraction(f"{value:.{_DECIMALS}f}")
        by_size = sorted(self.units.items(), key=lambda item: -item[1])
        for unit, factor in by_size:
            text = _plain(exact / factor)
            if exact >= factor and Fraction(text) * factor == exact:
                return text + unit
        unit, factor = by_size[-1]
        return _plain(exact / factor) + unit

    def _parse(self, value: Any) -> Any:
        match = _QUANTITY.fullmatch(value) if isinstance(value, str) else None
        if match is None or match[2] not in self.units:
            raise PydanticCustomError(
                "wrong_unit",
                "not a {noun}",
                {"noun": self.noun, "remedy": self._remedy(value, match)},
            )
        number = Fraction(match[1]) * self.units[match[2]]
        return math.floor(number) if self.whole else round(float(number), _DECIMALS)

    def _remedy(self, value: Any, match: re.Match[str] | None) -> str:
        advice = f"Write a number with one of the units {', '.join(self.units)}"
        meant = self.lookalikes.get(match[2].lower()) if match else None
        if match and meant:
            return f"{advice}; did you mean {match[1]}{meant}?"
        if isinstance(value, int | float) and not isinstance(value, bool):
            return f"{advice}: a bare number leaves its unit to guesswork."
        return f"{advice}, for example {self.example}."

    def __get_pydantic_core_schema__(
        self, source: Any, handler: GetCoreSchemaHandler
    ) -> CoreSchema:
        return core_schema.no_info_plain_validator_function(
            self.read,
            serialization=core_schema.plain_serializer_function_ser_schema(self.write),
        )

    def __get_pydantic_json_schema__(
        self, schema: CoreSchema, handler: GetJsonSchemaHandler
    ) -> dict[str, Any]:
        units = "|".join(re.escape(unit) for unit in self.units)
        return {
            "type": "string",
            "pattern": rf"^\s*\d+(\.\d+)?\s*({units})\s*$",
            "description": f"A {self.noun}, {self.minimum} to {self.maximum}.",
        }


def _plain(amount: Fraction) -> str:
    return f"{float(amount):.{_DECIMALS}f}".rstrip("0").rstrip(".")


@dataclass(frozen=True, slots=True)
class Size(Quantity):
    """A number of bytes, whole."""

    noun: ClassVar[str] = "size"
    example: ClassVar[str] = "128MiB"
    units: ClassVar[Mapping[str, Fraction]] = {
        "B": Fraction(1),
        "KiB": Fraction(2**10),
        "MiB": Fraction(2**20),
        "GiB": Fraction(2**30),
        "TiB": Fraction(2**40),
    }
    lookalikes: ClassVar[Mapping[str, str]] = {
        letter + end: f"{letter.upper()}iB" for letter in "kmgt" for end in ("", "b", "i", "ib")
    }
    whole: ClassVar[bool] = True


@dataclass(frozen=True, slots=True)
class Duration(Quantity):
    """A time, in seconds."""

    noun: ClassVar[str] = "duration"
    example: ClassVar[str] = "30s"
    units: ClassVar[Mapping[str, Fraction]] = {
        "ms": Fraction(1, 1000),
        "s": Fraction(1),
        "min": Fraction(60),  # before m: written so, that it is not taken for MiB
        "m": Fraction(60),
        "h": Fraction(3600),
    }
    lookalikes: ClassVar[Mapping[str, str]] = {
        "mins": "min",
        "minute": "min",
        "minutes": "min",
        "sec": "s",
        "secs": "s",
        "second": "s",
        "seconds": "s",
        "msec": "ms",
        "hour": "h",
        "hours": "h",
        "hr": "h",
    }


@dataclass(frozen=True, slots=True)
class Age(Duration):
    """How long ago, in seconds."""

    example: ClassVar[str] = "90d"
    units: ClassVar[Mapping[str, Fraction]] = {**Duration.units, "d": Fraction(86_400)}
    lookalikes: ClassVar[Mapping[str, str]] = {**Duration.lookalikes, "day": "d", "days": "d"}


@dataclass(frozen=True, slots=True)
class Share(Quantity):
    """A part of a whole, 0 to 1, written in percent."""

    noun: ClassVar[str] = "percentage"
    example: ClassVar[str] = "5%"
    units: ClassVar[Mapping[str, Fraction]] = {"%": Fraction(1, 100)}
    lookalikes: ClassVar[Mapping[str, str]] = {"percent": "%", "pct": "%"}


InstanceMemory = Annotated[int, Size("1MiB", "16TiB")]
Budget = Annotated[int, Size("1MiB", "64TiB")]
Seconds = Annotated[float, Duration("0s", "24h")]
Deadline = Annotated[float, Duration("100ms", "1h")]
TokenLife = Annotated[float, Duration("1s", "720h")]
RunAge = Annotated[float, Age("0s", "36500d")]
RunLimit = Annotated[float, Duration("1s", "168h")]
Percent = Annotated[float, Share("0%", "100%")]
Effect = Annotated[float, Share("0%", "1000%")]
