"""What is to be told of a run beside where its hosts stand: each thing once. Pure."""

from __future__ import annotations

from collections.abc import Sequence

from collector.suitability import few
from collector.views import HostProgress, Progress


class News:
    """Remembers what was told."""

    def __init__(self) -> None:
        self._messages: dict[str, str] = {}
        self._behind: tuple[str, ...] = ()
        self._skew: float | None = None

    def of(self, progress: Progress) -> Sequence[str]:
        """What is new, in lines."""
        return [*self._line(progress), *self._start(progress), *self._said(progress.hosts)]

    def _line(self, progress: Progress) -> Sequence[str]:
        before, self._behind = self._behind, progress.behind
        if progress.behind == before:
            return ()
        return (waiting(progress),) if progress.behind else ("its turn has come",)

    def _start(self, progress: Progress) -> Sequence[str]:
        before, self._skew = self._skew, progress.start_skew_seconds
        if self._skew is None or self._skew == before:
            return ()
        return (f"its hosts began within {self._skew:.3f} s of each other",)

    def _said(self, hosts: Sequence[HostProgress]) -> Sequence[str]:
        """Messages, one line for all hosts that say the same.

        What ended a host is left out: it is told with the run's end.
        """
        speakers: dict[str, list[str]] = {}
        for host in hosts:
            news = host.message and host.message != self._messages.get(host.host, "")
            if news and not host.state.ended:
                self._messages[host.host] = host.message
                speakers.setdefault(host.message, []).append(host.host)
        return [f"{few(names)}: {message}" for message, names in speakers.items()]


def waiting(progress: Progress) -> str:
    """What a run in line waits for."""
    return f"waits its turn behind {few(progress.behind)}"
