"""From an experiment to a run under way: choose hosts, ask them, plan, store, start."""

from __future__ import annotations

import asyncio
import secrets
import time
from collections.abc import Sequence
from contextlib import suppress
from datetime import UTC, datetime

from collector import planner
from collector.conductor.conductor import Conductor
from collector.errors import InvalidInput, NoSuchHost, TonnageError
from collector.fleet import Fleet
from collector.model import HostRun, Run
from collector.spec import Spec, parse
from collector.stores.migrate import schema_revision
from collector.views import HostInfo
from tonnage import __version__
from tonnage.model import RunState

# Crockford's base 32: no i, l, o or u to mistake.
_DIGITS = "0123456789abcdefghjkmnpqrstvwxyz"
_SPEC_MOST = 1_000_000


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
        hosts = await self._asked(spec)
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
        return await self._conductor.submit(run, _host_runs(spec, run, hosts))

    async def _asked(self, spec: Spec) -> Sequence[HostInfo]:
        """The healthy hosts; those that take part, as they are now."""
        wanted: list[HostInfo] = []
        others: list[HostInfo] = []
        for host in self._fleet.healthy():
            takes_part = spec.hosts is None or host.facts.host in spec.hosts
            (wanted if takes_part else others).append(host)
        return [*await asyncio.gather(*map(self._ask, wanted)), *others]

    async def _ask(self, host: HostInfo) -> HostInfo:
        agent = self._fleet.agent(host.facts.host, host.address)
        found = await agent.describe(refresh=True)
        if found.active_run_id and await self._conductor.gave_up(found.active_run_id):
            # It was away when the run was given up, and would hold up the new one.
            with suppress(TonnageError):
                await agent.cancel_run(found.active_run_id)
        return HostInfo(
            facts=found.facts,
            runtimes=found.runtimes,
            address=host.address,
            metrics_address=host.metrics_address,
            state=host.state,
            last_seen_unix_ns=time.time_ns(),
        )


def _host_runs(spec: Spec, run: Run, hosts: Sequence[HostInfo]) -> list[HostRun]:
    """The hosts' plans; a host that is not there is a fault of the spec."""
    choices = [planner.Host(h.facts.host, h.runtimes, h.facts) for h in hosts]
    try:
        plans = planner.plan(spec, run.run_id, run.seed, choices)
    except NoSuchHost as error:
        told = error.problem
        raise InvalidInput(
            told.message, field=told.field, value=told.value, remedy=told.remedy
        ) from error
    addresses = {host.facts.host: host.address for host in hosts}
    return [HostRun(run.run_id, name, addresses[name], plan) for name, plan in plans.items()]
