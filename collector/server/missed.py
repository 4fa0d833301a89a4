"""What a command that succeeded did not do: its call ends well, its answers name hosts.

A command over hosts answers for those it reached and names the others, so that one dead
host keeps it from none. The audit log must not call that well done.
"""

from __future__ import annotations

from typing import Any

from tonnage.v1 import collector_pb2 as pb


class Missed:
    """Reads a command's answers as they come."""

    def __init__(self) -> None:
        self._asked: set[str] = set()
        self._ended: set[str] = set()
        self._unreached: set[str] = set()
        self._leaked: dict[str, str] = {}
        self._troubles: dict[str, str] = {}

    def hear(self, answer: Any) -> None:
        """Take an answer of any call; most miss nothing."""
        if isinstance(answer, pb.CollectorServiceStopAllResponse):
            self._hear_stopped(answer)
        else:
            self._unreached.update(getattr(answer, "unreached", ()))

    def _hear_stopped(self, answer: pb.CollectorServiceStopAllResponse) -> None:
        self._asked.add(answer.host)
        match answer.WhichOneof("answer"):
            case "removed":
                self._ended.add(answer.host)
                if answer.removed.leaked:
                    self._leaked[answer.host] = ", ".join(answer.removed.leaked)
            case "problem":
                self._troubles[answer.host] = answer.problem.message
            case _:
                pass

    def __str__(self) -> str:
        """What was missed in one line, the hosts not reached first; empty for nothing."""
        unreached = sorted(self._unreached | (self._asked - self._ended))
        told = [f"not reached: {', '.join(unreached)}"] if unreached else []
        told += [f"left on {host}: {ids}" for host, ids in sorted(self._leaked.items())]
        told += [f"{host}: {why}" for host, why in sorted(self._troubles.items())]
        return "; ".join(told)
