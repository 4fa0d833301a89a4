"""Asks instances what they see, on their consoles; then looks at the host.

The words are those of ``tonnage/idle:1`` (``deploy/images/rootfs/tonnage-idle``). All
instances have their marks before the first one tells what it sees.
"""

from __future__ import annotations

import asyncio
import json
from collections.abc import Mapping

from agent import process
from agent.errors import NoAnswer
from agent.experiments.base import Answered, Ask
from agent.runner.holdings import Holding
from agent.runner.observer import Observer
from agent.runtimes.base import Conversing
from tonnage.model import HostProcess, InsideAnswer

_MARKED = "TONNAGE MARKED"
_FACTS = "TONNAGE FACTS "
_END = "TONNAGE END"
_COMMAND_CHARACTERS = 240


async def ask_all(ask: Ask, held: Mapping[str, Holding], observer: Observer) -> Answered:
    """Mark and ask the instances of ``held``, by trial; one that is lost has no answer."""
    talks = [_Talk(trial_id, mark, held.get(trial_id), ask) for trial_id, mark in ask.marks]
    await asyncio.gather(*(talk.give_mark() for talk in talks))
    await asyncio.gather(*(talk.take_facts() for talk in talks))
    marks = [mark for _, mark in ask.marks]
    facts, carriers = await asyncio.to_thread(observer.sight, marks)
    answers = tuple(talk.answer(carriers[talk.mark]) for talk in talks)
    return Answered(json.dumps(facts), answers)


class _Talk:
    """What is said with one instance. The first question without an answer is the last."""

    def __init__(self, trial_id: str, mark: str, holding: Holding | None, ask: Ask) -> None:
        self._trial_id = trial_id
        self._instance = holding.instance if holding is not None else None
        self._timeout_seconds = ask.timeout_seconds
        self._facts = ""
        self._error = "" if self._instance is not None else "the instance was lost"
        self.mark = mark

    async def give_mark(self) -> None:
        """Give the instance its mark."""
        await self._say(f"mark {self.mark}", f"{_MARKED} {self.mark}")

    async def take_facts(self) -> None:
        """Have it tell what it sees."""
        said = await self._say("facts", _END)
        facts = said.rpartition(_FACTS)[2].partition("\n")[0].strip()
        if not self._error and not _is_object(facts):
            self._error = f"the workload told no facts: {facts[:_COMMAND_CHARACTERS]!r}"
        elif not self._error:
            self._facts = facts

    async def _say(self, line: str, until: str) -> str:
        if self._error:
            return ""
        if not isinstance(self._instance, Conversing):
            self._error = "its runtime has no console to ask it on"
            return ""
        try:
            return await self._instance.ask(line, until, self._timeout_seconds)
        except NoAnswer as error:
            self._error = error.problem.message
            return ""

    def answer(self, marked_pids: tuple[int, ...]) -> InsideAnswer:
        """All of it."""
        pids = self._instance.processes().pids if self._instance is not None else ()
        seen = tuple(HostProcess(pid, _command(pid)) for pid in pids)
        return InsideAnswer(self._trial_id, self.mark, self._facts, self._error, seen, marked_pids)


def _is_object(text: str) -> bool:
    try:
        return isinstance(json.loads(text), dict)
    except ValueError:
        return False


def _command(pid: int) -> str:
    return " ".join(process.cmdline(pid))[:_COMMAND_CHARACTERS]
