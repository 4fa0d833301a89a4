"""From an experiment to a run under way: choose hosts, ask them, plan, store, start."""

from __future__ import annotations

import asyncio
import secrets
import time
from collections.abc import Sequence
from dataclasses import replace
from datetime import UTC, datetime

from collector import planner
from collector.agents import unreachable
from collector.conductor.conductor import Conductor
from collector.errors import InvalidInput, WrongState
from collector.fleet import Fleet
from collector.model import HostRun, Run
from collector.selection import select
from collector.spec import HostSelection, Spec, parse
from collector.stores.migrate import schema_revision
from collector.views import HostInfo
from tonnage import __version__
from tonnage.model import RunState

# Crockford's base 32: no i, l, o or u to mistake.
_DIGITS = "0123456789abcdefghjkmnpqrstvwxyz"
_SPEC_MOST = 1_000_000
_LOOK_AGAIN_SECONDS = 0.2


def new_run_id(now_unix_ns: int) -> str:
    """A run's id, such as ``20261123-7k2m9qx``: the day, the time of day, chance.

    It sorts by time to a twelfth of a second; 15 bits of chance keep runs of
    several collectors apart.
    """
    day_ns = 86_400 * 10**9
    moment = (now_unix_ns % day_ns) * 2**20 // day_ns
    number = moment << 15 | secrets.randbits(15)
    digits = "".join(_DIGITS[number >> shift & 31] for shift in range(30, -1, -5))
    return f"{datetime.fromtimestamp(now_unix_ns // 10**9, UTC):%Y%m%d}-{digits}"


class Submission:
    """Takes experiments in."""

    def __init__(self, fleet: Fleet, conductor: Conductor) -> None:
        self._fleet = fleet
        self._conductor = conductor

    async def submit(self, spec_json: str, request_token: str) -> Run:
        """Plan and start a run; the earlier one when the token was used before.

        Raises ``InvalidInput`` when the spec is wrong or asks for what its hosts
        lack, ``Unreachable`` when a host does not answer.
        """
        if len(spec_json) > _SPEC_MOST:
            raise InvalidInput(f"the spec is longer than {_SPEC_MOST} characters", field="spec")
        if request_token and (earlier := await self._conductor.submitted(request_token)):
            return earlier
        spec = await asyncio.to_thread(parse, spec_json)
        selected = await self._selected(spec.hosts)
        hosts = await asyncio.gather(*map(self._ask, selected))
        now = time.time_ns()
        run = Run(
            run_id=new_run_id(now),
            name=spec.name,
            state=RunState.PENDING,
            spec_json=spec.model_dump_json(),
            seed=spec.seed if spec.seed is not None else secrets.randbits(63),
            versions={"collector": __version__, "schema": schema_revision()},
            started_at_unix_ns=now,
            request_token=request_token,
        )
        host_runs = _host_runs(spec, run, hosts)
        self._check_taken_out_by_none(host_runs)
        return await self._conductor.submit(run, host_runs)

    async def _selected(self, wanted: HostSelection) -> Sequence[HostInfo]:
        """The hosts that take part; waits for them as long as the spec says."""
        deadline = asyncio.get_running_loop().time() + wanted.wait
        while True:
            found = select(wanted, self._fleet.hosts())
            if found.problem is None:
                return found.hosts
            if not found.waiting_helps or not await self._changed_before(deadline):
                raise found.problem

    async def _changed_before(self, deadline: float) -> bool:
        """Wait until a host comes or goes, and a moment for others that come with it."""
        try:
            async with asyncio.timeout_at(deadline):
                await self._fleet.changed()
        except TimeoutError:
            return False
        await asyncio.sleep(_LOOK_AGAIN_SECONDS)
        return True

    async def _ask(self, host: HostInfo) -> HostInfo:
        """The host as it is now."""
        agent = self._fleet.agent(host.facts.host, host.address)
        found = await agent.describe(refresh=True)
        if found.facts.host != host.facts.host:
            why = f"host {found.facts.host} does instead"
            raise unreachable(host.facts.host, host.address, why)
        return replace(host, facts=found.facts, runtimes=found.runtimes)

    def _check_taken_out_by_none(self, hosts: Sequence[HostRun]) -> None:
        """Since they were selected: the red button may have been pressed."""
        for host in hosts:
            if self._fleet.get(host.host).draining:
                raise WrongState(
                    "the host was taken out of new runs just now",
                    field="hosts",
                    value=host.host,
                    remedy=f"Take it back in with tonnage drain {host.host} --undo.",
                )


def _host_runs(spec: Spec, run: Run, hosts: Sequence[HostInfo]) -> list[HostRun]:
    choices = [planner.Host(h.facts.host, h.runtimes, h.facts) for h in hosts]
    plans = planner.plan(spec, run.run_id, run.seed, choices)
    addresses = {host.facts.host: host.address for host in hosts}
    return [HostRun(run.run_id, name, addresses[name], plan) for name, plan in plans.items()]
