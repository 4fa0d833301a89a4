"""Verdicts on claims as one document: what ``tonnage claims --output json`` prints."""

from __future__ import annotations

from datetime import datetime
from typing import Literal

from pydantic import Field

from collector.reports.rows import Document

Standing = Literal["supported", "refuted", "inconclusive"]
Class = Literal["container", "sandboxed container", "microVM", "full VM", "restored VM"]

OpenInterval = tuple[float | None, float | None]
"""An interval; an end that is null has no bound."""


class ScopeRow(Document):
    """One part of a claim, judged for one subject."""

    host: str
    runtime: str
    accelerator: Literal["none", "kvm", "tcg"]
    variant: str
    mode: Literal["cold", "warm", "restore"]
    network: str
    workload: str
    memory_bytes: int | None = Field(description="Asked for; null for a part over several sizes.")
    runtime_class: Class
    aspect: str = Field(description="The part of the claim that is judged here.")
    verdict: Standing
    estimate: float | None = Field(description="What the rule judges; null if it is no number.")
    unit: str = Field(description="The estimate's unit, in words.")
    ci: OpenInterval | None = Field(description="Its 95 % interval; a null end has no bound.")
    n: int = Field(description="Trials, points, ramps or instances behind it.")
    against: str | None = Field(
        default=None, description="The runtime on the other side of a ratio: the least favourable."
    )
    reason: str = Field(description="One sentence behind the verdict.")


class RuleText(Document):
    """A rule as it was fixed before the run, its numbers beside it."""

    supported_if: str
    refuted_if: str
    numbers: dict[str, float]


class Claim(Document):
    """One claim of the lesson and what the runs say of it."""

    id: str
    statement: str
    verdict: Standing
    reason: str
    holds_for: list[Class] = Field(
        description="Classes of which every part is supported: in mode warm, where started so."
    )
    fails_for: list[Class] = Field(description="Classes of which some part is refuted, likewise.")
    scope: list[ScopeRow]
    rule: RuleText
    evidence: list[str] = Field(description="What was seen, a sentence each.")


class JudgedRun(Document):
    """A run that was judged."""

    id: str
    name: str
    state: str
    started_at: datetime


class Claims(Document):
    """Every claim, judged."""

    rules_version: int = Field(description="Counts up whenever a rule or a number changes.")
    runs: list[JudgedRun]
    missing: list[str] = Field(
        default=[], description="Experiments that were not made, or not all of it, and why."
    )
    claims: list[Claim]


class Rules(Document):
    """The rules alone: what ``tonnage claims --rules --output json`` prints."""

    rules_version: int
    rules: dict[str, RuleText]
