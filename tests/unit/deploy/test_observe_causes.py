"""An alert counts when its cause made it fire, and no other way."""

from __future__ import annotations

from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from typing import Any

import pytest

from deploy.observe import causes
from deploy.observe.causes import Cause, firing_while
from deploy.observe.rules import Alert


def alert(name: str, host: str = "h3") -> Alert:
    return Alert.of({"alertname": name, "host": host})


class Scene:
    """What fires at each look; the last for ever. ``made_at``: looks before the cause was made."""

    def __init__(self, *looks: Sequence[Alert]) -> None:
        self._looks = [set(look) for look in looks]
        self.looked = 0
        self.made_at: int | None = None

    async def watch(self) -> set[Alert]:
        self.looked += 1
        return self._looks[min(self.looked, len(self._looks)) - 1]

    async def seen(self, *wanted: str, seconds: float = 0.05) -> set[str]:
        @asynccontextmanager
        async def making(*_: Any) -> AsyncIterator[None]:
            self.made_at = self.looked
            yield

        nothing: Any = None
        cause = Cause(wanted, "something is done", making)
        return await firing_while(cause, nothing, nothing, self.watch, seconds)


@pytest.fixture(autouse=True)
def hurried(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(causes, "_LOOK_SECONDS", 0)


async def test_what_fires_once_the_cause_is_made_counts_and_the_rest_does_not() -> None:
    scene = Scene([], [], [alert("A"), alert("Other")], [alert("B")])
    assert await scene.seen("A", "B") == {"A", "B"}
    assert scene.looked == 4


async def test_what_fires_already_is_waited_for_to_end() -> None:
    scene = Scene([alert("A")], [alert("A")], [], [], [alert("A")])
    assert await scene.seen("A", seconds=60) == {"A"}
    assert scene.made_at == 4


async def test_what_does_not_end_is_none_of_the_causes() -> None:
    assert await Scene([alert("A")]).seen("A") == set()


async def test_one_that_fires_elsewhere_hides_none_of_the_causes() -> None:
    elsewhere = alert("A", "h1")
    scene = Scene()

    async def watch() -> set[Alert]:
        return {elsewhere, alert("A")} if scene.made_at is not None else {elsewhere}

    scene.watch = watch  # type: ignore[method-assign]  # what fires follows the cause
    assert await scene.seen("A") == {"A"}
