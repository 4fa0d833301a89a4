"""Handing an experiment over, and showing which hosts it still waits for."""

from __future__ import annotations

import asyncio
from typing import Any
from uuid import uuid4

from collector.cli import screen
from collector.cli.interrupts import Interrupts, Left
from collector.client import Client
from collector.errors import TonnageError
from collector.selection import select
from collector.spec import HostSelection, Spec

_LOOK_SECONDS = 1.0


async def submit(client: Client, experiment: Spec, interrupts: Interrupts) -> str:
    """Start a run and return its id.

    An interruption while hosts are waited for raises ``Left``; later than that a run
    is begun, which is then for the caller to cancel.
    """
    wait = experiment.hosts.wait
    sending = client.submit(experiment.model_dump_json(), uuid4().hex, wait)
    submitting = asyncio.create_task(sending)
    awaited = _Awaited(client, experiment.hosts)
    others: list[asyncio.Task[Any]] = [asyncio.create_task(interrupts.asked.wait())]
    others += [asyncio.create_task(awaited.tell())] if wait else []
    try:
        with interrupts.patient():
            await asyncio.wait({submitting, others[0]}, return_when=asyncio.FIRST_COMPLETED)
            if awaited.told and not submitting.done():
                raise Left(
                    "cancelled while waiting for hosts; nothing was started",
                    remedy="Had they just come, tonnage runs would show it.",
                )
            return await submitting
    finally:
        for task in (submitting, *others):
            task.cancel()
        await asyncio.gather(submitting, *others, return_exceptions=True)


class _Awaited:
    """Tells which hosts are waited for, each time that changes."""

    def __init__(self, client: Client, wanted: HostSelection) -> None:
        self._client = client
        self._wanted = wanted
        self.told = ""

    async def tell(self) -> None:
        """Look again and again, until cancelled."""
        while True:
            self._say(await self._lacking())
            await asyncio.sleep(_LOOK_SECONDS)

    async def _lacking(self) -> str:
        try:
            found = select(self._wanted, await self._client.hosts())
        except TonnageError:
            return self.told  # the submission itself will tell
        return found.problem.problem.message if found.problem and found.waiting_helps else ""

    def _say(self, lacking: str) -> None:
        if lacking and lacking != self.told:
            screen.say(f"waiting up to {self._wanted.wait:g} s for hosts: {lacking}")
        self.told = lacking
