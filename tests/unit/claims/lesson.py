"""Made-up runs for the claims: what each test needs of a result, and nothing else."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from datetime import UTC, datetime
from typing import Any

from collector.claims import Seen
from collector.claims.model import Claim
from collector.reports.model import DensityRow, FootprintRow, Result, RunSummary, Subject

MS = 1_000_000
MB = 1_000_000
MIB = 2**20


def subject(runtime: str, **given: Any) -> Subject:
    """A subject on ``h1``; VMs run under TCG."""
    machine = runtime.startswith("qemu")
    return Subject(
        **{
            "host": "h1",
            "runtime": runtime,
            "accelerator": "tcg" if machine else "none",
            "variant": "direct" if machine else "default",
            "mode": "warm",
            "network": "none",
            "workload": "idle",
            "memory_bytes": 128 * MIB if machine else 64 * MIB,
            **given,
        }
    )


CONTAINER = subject("docker")
RUNC = subject("runc")
GVISOR = subject("docker-runsc")
MICROVM = subject("qemu-microvm")
FULL = subject("qemu-full")


def started(
    whom: Subject,
    milliseconds: Sequence[float],
    *,
    kernel_share: float | None = None,
    outcome: str = "ready",
    error: str = "",
    **given: Any,
) -> Iterator[dict[str, Any]]:
    """Trials as the export has them. The guest kernel's mark lies ``1 - kernel_share`` into
    each start."""
    for number, ms in enumerate(milliseconds):
        ready = int(ms * MS)
        kernel = None if kernel_share is None else int(ready * (1 - kernel_share))
        yield {
            **whom.model_dump(),
            "concurrency": 1,
            "trial": f"{whom.runtime}-{whom.mode}-{whom.workload}-{number}",
            "attempt": 1,
            "outcome": outcome,
            "error": error,
            "evidence": "",
            "created_ns": ready // 10,
            "kernel_ns": kernel,
            "ready_ns": ready if outcome == "ready" else None,
            "population": "measured",
            **given,
        }


def spread(around: float, count: int) -> list[float]:
    """``count`` values a little about one."""
    return [around * (0.95 + 0.1 * (number % 11) / 10) for number in range(count)]


def cost(
    whom: Subject, estimator: str, value: float | None, reach: float | None = 0.05
) -> FootprintRow:
    """A footprint row with an interval of ``value`` less and more a share of it."""
    ci = None
    if value is not None and reach is not None:
        ci = value * (1 - reach), value * (1 + reach)
    return FootprintRow(
        **whom.model_dump(),
        estimator=estimator,
        bytes_per_instance=value,
        ci_bytes=ci,
        n_points=12,
        reason=None if ci else "fewer than two counts were measured",
    )


def seen(
    *trials: Iterator[dict[str, Any]],
    footprint: Sequence[FootprintRow] = (),
    density: Sequence[DensityRow] = (),
    **parts: Any,
) -> Seen:
    """A run of it."""
    result = Result(
        run=RunSummary(
            id="r1",
            name="claims",
            state="finished",
            spec={},
            seed=7,
            versions={},
            started_at=datetime(2026, 11, 24, tzinfo=UTC),
            finished_at=None,
            problem=None,
        ),
        hosts=[],
        startup=[],
        density=list(density),
        footprint=list(footprint),
        comparisons=[],
        warnings=[],
        **parts,
    )
    return Seen(result, [row for rows in trials for row in rows])


def parts(claim: Claim) -> dict[tuple[str, str], str]:
    """The verdicts by runtime, and mode where it is not warm, and part."""
    return {
        (row.runtime if row.mode == "warm" else f"{row.runtime} {row.mode}", row.aspect): (
            row.verdict
        )
        for row in claim.scope
    }
