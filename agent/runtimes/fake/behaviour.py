"""What a workload asks the fake to do."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from agent.errors import ImageNotFound, InvalidInput
from tonnage.model import Workload

BEHAVIOURS = ("ok", "fail", "hang", "die", "mute", "leaky", "early", "leak", "lost", "gone")
_PREFIX = "fake:"


@dataclass(frozen=True, slots=True)
class Behaviour:
    """What one workload asks the fake to do. Durations in seconds."""

    kind: str = "ok"
    accept_seconds: float = 0.0
    create_seconds: float = 0.0
    ready_seconds: float = 0.0
    jitter_seconds: float = 0.0
    die_seconds: float = 0.0
    fail_rate: float = 0.0
    capacity: int = 0
    needs_mib: float = 0.0
    seed: str = ""
    durable: bool = False
    reads: tuple[Path, ...] = ()
    own_kernel: bool = False
    saved: Path | None = None

    @classmethod
    def of(cls, workload: Workload) -> Behaviour:
        """Read it from image and environment; raises ``ImageNotFound`` or ``InvalidInput``."""
        kind = workload.image.removeprefix(_PREFIX) if _is_fake(workload) else "ok"
        if kind not in BEHAVIOURS:
            raise ImageNotFound(
                "the fake runtime has no such image",
                field="workload.image",
                value=workload.image,
                remedy=f"Use one of {', '.join(_PREFIX + name for name in BEHAVIOURS)}.",
            )
        tuning = workload.environment
        return cls(
            kind=kind,
            accept_seconds=_number(tuning, "FAKE_ACCEPT_MS") / 1000,
            create_seconds=_number(tuning, "FAKE_CREATE_MS") / 1000,
            ready_seconds=_number(tuning, "FAKE_READY_MS") / 1000,
            jitter_seconds=_number(tuning, "FAKE_JITTER_MS") / 1000,
            die_seconds=_number(tuning, "FAKE_DIE_MS") / 1000,
            fail_rate=_number(tuning, "FAKE_FAIL_RATE"),
            capacity=int(_number(tuning, "FAKE_CAPACITY")),
            needs_mib=_number(tuning, "FAKE_NEEDS_MIB"),
            seed=tuning.get("FAKE_SEED", ""),
            durable=tuning.get("FAKE_DURABLE", "") == "1",
            reads=tuple(Path(path) for path in tuning.get("FAKE_READS", "").split(":") if path),
            own_kernel=tuning.get("FAKE_OWN_KERNEL", "") == "1",
        )


def _is_fake(workload: Workload) -> bool:
    return workload.image.startswith(_PREFIX)


def _number(tuning: Mapping[str, str], name: str) -> float:
    text = tuning.get(name, "0")
    try:
        value = float(text)
    except ValueError:
        value = -1.0
    if not 0 <= value < float("inf"):
        raise InvalidInput(
            "this is not a number of 0 or more",
            field=f"workload.environment.{name}",
            value=text,
            remedy="Give a plain number, for example 25.",
        )
    return value
