"""What there is to see: experiments, instances that stand, and programs that are not ours."""

from __future__ import annotations

import asyncio
import json
import os
from collections.abc import AsyncIterator, Callable, Coroutine, Sequence
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import docker
from docker.errors import DockerException, NotFound

from deploy.commands import CommandFailed, Done
from deploy.observe import servers
from deploy.observe.gate import Gate
from deploy.observe.stack import CHECKOUT, Stack
from deploy.programs import Program, ProgramFailed

HOSTS = ("h1", "h2", "h3")
REAL_HOSTS = HOSTS[:2]
ODD_HOST = HOSTS[2]  # whose engine, outbox and probes are made to fail

_SPECS = Path(__file__).parent / "experiments"
IMAGE = "tonnage/idle:1"
# Others may do the same beside the same engine.
_NEIGHBOUR = f"tonnage-observe-{os.getpid()}"
_RUN_SECONDS = 420.0
_LOOK_SECONDS = 0.5
_LAUNCHES = 4
_REST_SECONDS = 10.0
_SMALL_SPOOL = ("--spool-cap-bytes", str(2 << 20), "--spool-keep-seconds", "5")

# Of experiments/quick-compare.yaml: what takes a minute, on two hosts that share a machine.
_QUICKER = (
    "startup.trials=60",
    "startup.per_target.qemu-microvm.trials=6",
    "footprint.counts=[2,4,6]",
    "footprint.repeats=1",
    "footprint.per_target.qemu-microvm.counts=[1,2]",
    "density.memory_budget=96MiB",
    "density.per_target.qemu-microvm.memory_budget=700MiB",
)
# A median needs six.
_FEW_STARTS = ("startup.trials=20", "startup.per_target.qemu-microvm.trials=6")
_QUICKEST = (
    *_QUICKER,
    *_FEW_STARTS,
    "density.max_instances=20",
    "density.per_target.qemu-microvm.max_instances=3",
    "density.per_target.qemu-microvm.forecast_after=2",
)
# All that is ever looked at of the run that another is compared with.
_STARTS_ALONE = (*_FEW_STARTS, "footprint=null", "density=null")


@dataclass(frozen=True, slots=True)
class Machine:
    """What there is to run instances with. ``engine`` is an address, or nothing."""

    engine: str | None
    guest: Path | None
    images: Path

    @classmethod
    def here(cls) -> Machine:
        """This one, as ``deploy.bootstrap`` and ``deploy.engine`` have set it up."""
        guest = CHECKOUT / "build" / "guest"
        there = (guest / "vmlinuz").is_file() and servers.present("qemu-system-x86_64")
        images = CHECKOUT / "build" / "images"
        return cls(os.environ.get("DOCKER_HOST"), guest if there else None, images)

    @property
    def whole(self) -> bool:
        """Whether containers and VMs can be compared."""
        return self.engine is not None and self.guest is not None

    def flags(self, folder: Path) -> Callable[[str], Sequence[str]]:
        """An agent's flags by host. The odd host reaches its engine by a gate in ``folder``."""

        def of(host: str) -> Sequence[str]:
            runtimes = ["fake", *(["docker"] if self.engine else [])]
            if self.guest and host in REAL_HOSTS:
                runtimes.append("qemu-microvm")
            engine = f"unix://{_odd_engine(folder)}" if host == ODD_HOST else self.engine
            return (
                *("--runtimes", ",".join(runtimes)),
                *(("--docker-host", engine) if self.engine and engine else ()),
                *(("--guest-dir", str(self.guest)) if self.guest else ()),
                *("--images-dir", str(self.images)),
                *(_SMALL_SPOOL if host == ODD_HOST else ()),
            )

        return of


def odd_gate(machine: Machine, folder: Path) -> Gate:
    """What leads the odd host to its engine, and can be shut."""
    return Gate(machine.engine, _odd_engine(folder))


def _odd_engine(folder: Path) -> Path:
    return folder / "engine.sock"


async def experiment(made: Stack, spec: Path, settings: Sequence[str] = ()) -> str:
    """Start a run; its id."""
    sets = [word for setting in settings for word in ("--set", setting)]
    asked = ("run", str(spec), *sets, "--detach")
    return (await made.operator.tonnage(*asked, quiet=True)).out.strip()


async def ended(made: Stack, run_id: str) -> str:
    """Wait for a run's end; its state then."""
    async with asyncio.timeout(_RUN_SECONDS):
        while True:
            asked = ("runs", "--output", "json")
            done = await made.operator.tonnage(*asked, quiet=True, expect=(0, 1))
            runs = json.loads(done.out) if done.code == 0 else []
            state = next((r["state"] for r in runs if r["run_id"] == run_id), "pending")
            if state not in ("pending", "running", "cancelling"):
                return str(state)
            await asyncio.sleep(_LOOK_SECONDS)


async def experiments(
    made: Stack, machine: Machine, say: Callable[[str], None], *, brief: bool = False
) -> str:
    """Everything that is measured, and a run to compare with; the id of the last run, which has
    all of it. ``brief``: too little to say anything, but all of it.

    Raises ``ProgramFailed`` when one does not finish.
    """
    specs: list[tuple[Path, Sequence[str]]] = [(_SPECS / "fakes.yaml", ())]
    if machine.whole:
        quick = CHECKOUT / "experiments" / "quick-compare.yaml"
        on = f"hosts.names=[{','.join(host for host in made.agents if host in REAL_HOSTS)}]"
        specs += [(quick, (*_STARTS_ALONE, on)), (quick, (*(_QUICKEST if brief else _QUICKER), on))]
    run_id = ""
    for spec, settings in specs:
        run_id = await experiment(made, spec, settings)
        say(f"  {spec.stem}: run {run_id} …")
        state = await ended(made, run_id)
        say(f" {state}\n")
        if state != "finished":
            raise ProgramFailed(f"run {run_id} of {spec.stem} ended {state}, and not finished")
    return run_id


async def healthy(made: Stack, within_seconds: float) -> None:
    """Wait until every host has registered. Raises ``TimeoutError``."""
    async with asyncio.timeout(within_seconds):
        while True:
            done = await made.operator.tonnage("hosts", "--output", "json", quiet=True)
            states = [host["state"] for host in json.loads(done.out)]
            if states.count("healthy") == len(made.agents):
                return
            await asyncio.sleep(_LOOK_SECONDS)


async def standing(made: Stack, machine: Machine) -> None:
    """Instances that stay, so that there is something to count and to weigh."""
    hosts = [*made.agents]
    wanted = [("fake", "fake:ok", host) for host in hosts for _ in range(2)]
    wanted += [("docker", IMAGE, host) for host in hosts if machine.engine]
    wanted += [
        ("qemu-microvm", IMAGE, host) for host in hosts if machine.guest and host in REAL_HOSTS
    ]
    for runtime, image, host in wanted:
        await launch(made, runtime, image, host)


async def launch(made: Stack, runtime: str, image: str, host: str) -> str:
    """One instance by hand; its id. A guest under software emulation resets itself now and
    then: then another. Raises ``CommandFailed``."""
    asked = ("launch", runtime, image, "--host", host, "--memory", "128MiB", "--output", "json")
    for _ in range(_LAUNCHES - 1):
        with suppress(CommandFailed):
            return _instance(await made.operator.tonnage(*asked, quiet=True))
    return _instance(await made.operator.tonnage(*asked, quiet=True))


def _instance(done: Done) -> str:
    return str(json.loads(done.out)["instance"]["instance_id"])


@asynccontextmanager
async def trickle(made: Stack) -> AsyncIterator[None]:
    """A small run again and again within the block; others' runs wait for it at most seconds."""
    async with _meanwhile(_again_and_again(made)):
        yield


async def _again_and_again(made: Stack) -> None:
    while True:
        # A collector or an agent that somebody ended is theirs to start again.
        with suppress(CommandFailed, TimeoutError):
            await ended(made, await experiment(made, _SPECS / "trickle.yaml"))
        await asyncio.sleep(_REST_SECONDS)


@asynccontextmanager
async def neighbours(machine: Machine, folder: Path) -> AsyncIterator[None]:
    """What runs on the machine and is no instance of ours: two containers, one of which starts
    again and again, and a virtual machine."""
    vm = _virtual_machine(folder / "logs" / "neighbour.log")
    try:
        if machine.guest:
            await vm.start()
        if machine.engine:
            await asyncio.to_thread(_container, machine.engine, "stays")
        async with _meanwhile(_comes_and_goes(machine.engine)):
            yield
    finally:
        await vm.kill()
        if machine.engine:
            await asyncio.to_thread(_remove, machine.engine, "stays", "comes")


@asynccontextmanager
async def _meanwhile(work: Coroutine[Any, Any, None]) -> AsyncIterator[None]:
    """Do it while the block lasts."""
    going = asyncio.create_task(work)
    try:
        yield
    finally:
        going.cancel()
        await asyncio.gather(going, return_exceptions=True)


async def _comes_and_goes(engine: str | None) -> None:
    while engine:
        await asyncio.to_thread(_container, engine, "comes")
        await asyncio.sleep(_REST_SECONDS / 2)
        await asyncio.to_thread(_remove, engine, "comes")


def _container(engine: str, name: str) -> None:
    client = docker.DockerClient(base_url=engine)
    called = f"{_NEIGHBOUR}-{name}"
    try:
        _gone(client, name)
        client.containers.run(IMAGE, name=called, network_mode="none", detach=True, stdin_open=True)
    except DockerException as error:
        raise ProgramFailed(f"container {called} does not start: {error}") from error
    finally:
        client.close()


def _remove(engine: str, *names: str) -> None:
    client = docker.DockerClient(base_url=engine)
    try:
        for name in names:
            _gone(client, name)
    finally:
        client.close()


def _gone(client: Any, name: str) -> None:
    try:
        client.containers.get(f"{_NEIGHBOUR}-{name}").remove(force=True)
    except NotFound:
        return
    except DockerException as error:
        raise ProgramFailed(f"container {_NEIGHBOUR}-{name} stays: {error}") from error


def _virtual_machine(log: Path) -> Program:
    """A machine without a guest, held before its first instruction: it is there, no more."""
    command = (*servers.BOUND, "qemu-system-x86_64")
    words = ("-M", "microvm,acpi=off", "-m", "32", "-nodefaults", "-display", "none", "-S")
    name = ("-name", _NEIGHBOUR)
    return Program("neighbour", command, lambda: (*words, *name), log, servers.at_once)
