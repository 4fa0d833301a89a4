"""A made-up run with everything a report must cope with, from a seed.

Two hosts; containers and VMs; a VM that hangs, a container that is refused,
foreign load, a level with too few samples, a ramp each, a footprint each.
"""

from __future__ import annotations

import json
import random
from collections.abc import Iterator
from dataclasses import replace

from collector.model import HostFact, HostRun, Run, RunData, TrialRow
from tonnage.model import (
    Accelerator,
    ConsoleHealth,
    DensityResult,
    DensityStage,
    Fingerprint,
    FootprintPoint,
    FootprintStage,
    Forecast,
    HostFacts,
    LogReadiness,
    Mode,
    Network,
    Notice,
    Outcome,
    Plan,
    Population,
    Problem,
    ProblemKind,
    RunResumed,
    RunState,
    RuntimeState,
    Sample,
    Slo,
    Stage,
    StartupStage,
    Step,
    StopReason,
    Target,
    TargetTrials,
    Trial,
    TrialEnd,
    Workload,
)

MB = 1_000_000
MS = 1_000_000
START = 1_764_000_000_000_000_000

IDLE = Workload(
    "idle",
    "tonnage/idle:1",
    LogReadiness("TONNAGE READY"),
    health=ConsoleHealth("ping", "pong"),
)
DOCKER = Target("docker", "docker", "default", Mode.WARM, Network.NONE, IDLE, 64 * 2**20)
MICROVM = Target(
    "qemu-microvm", "qemu-microvm", "direct", Mode.WARM, Network.NONE, IDLE, 128 * 2**20
)
EVIDENCE = (
    "qemu-system-x86_64 -M microvm,acpi=off\n"
    "[    0.912345] clocksource: tsc-early <script>alert('x')</script>\n"
    "[    1.402211] Run /init as init process"
)

SPEC = {
    "name": "quick-compare",
    "workload": {"image": "tonnage/idle:1", "ready": {"log": "TONNAGE READY"}},
    "targets": [{"runtime": "docker"}, {"runtime": "qemu-microvm"}],
    "startup": {
        "trials": 60,
        "concurrency": [1, 4],
        "per_target": {"qemu-microvm": {"trials": 20}},
    },
    "density": {"step": 5, "max_instances": 200, "memory_budget": "1500MB"},
    "footprint": {"counts": [2, 4, 8], "repeats": 3},
    "compare": {"baseline": "docker"},
}


def sample_run(hosts: tuple[str, ...] = ("h1",), *, scale: int = 1, seed: int = 7) -> RunData:
    """The run; ``scale`` multiplies the trials."""
    rng = random.Random(seed)
    plan = _plan(scale)
    return RunData(
        run=Run(
            run_id="0199c0de-7a11-7000-8000-00000000cafe",
            name="quick-compare",
            state=RunState.FINISHED,
            spec_json=json.dumps(SPEC),
            seed=seed,
            versions={"collector": "0.1.0", "schema": "1"},
            started_at_unix_ns=START,
            finished_at_unix_ns=START + 163_000_000_000,
        ),
        hosts=tuple(_host(host, plan) for host in hosts),
        trials=tuple(row for host in hosts for row in _trials(host, rng, scale)),
        facts=tuple(fact for host in hosts for fact in _facts(host, rng)),
    )


def _plan(scale: int) -> Plan:
    targets = TargetTrials("docker", 60 * scale), TargetTrials("qemu-microvm", 20 * scale)
    return Plan(
        run_id="0199c0de-7a11-7000-8000-00000000cafe",
        seed=7,
        targets=(DOCKER, MICROVM),
        stages=(
            Stage("startup", StartupStage(targets, 2, (1, 4), 60.0)),
            *(_ramp(target) for target in (DOCKER, MICROVM)),
            *(
                Stage(f"footprint/{target.id}", FootprintStage(target.id, (2, 4, 8), 3, 1.0, 60.0))
                for target in (DOCKER, MICROVM)
            ),
        ),
        noisy_above_share=0.1,
        time_limit_seconds=600,
    )


def _ramp(target: Target) -> Stage:
    return Stage(
        f"density/{target.id}",
        DensityStage(target.id, 5, 200, 2, Slo(), 3, 1.0, 60.0, memory_budget_bytes=1500 * MB),
    )


def _host(host: str, plan: Plan) -> HostRun:
    return HostRun(
        run_id=plan.run_id,
        host=host,
        address="127.0.0.1:7080",
        plan=plan,
        state=RunState.FINISHED,
        facts=HostFacts(
            host=host,
            agent_id="a1",
            agent_version="0.1.0",
            boot_id="5a1d",
            kernel="6.18.0",
            os="Debian GNU/Linux 12 (bookworm)",
            architecture="x86_64",
            cpu_model="Intel(R) Xeon(R) Platinum 8581C CPU @ 2.10GHz",
            cpus=2,
            memory_bytes=25_276_502_016,
            swap_bytes=0,
            cgroup="hybrid",
            virtualization="kvm",
            ksm="off",
            transparent_huge_pages="madvise",
            governor="unknown",
            psi=True,
            labels={"rack": "a<b"},
        ),
        runtimes=(
            Fingerprint(
                "docker",
                RuntimeState.HEALTHY,
                "The engine answers.",
                "20.10.24",
                components={"containerd": "1.6.20", "runc": "1.1.5"},
            ),
            Fingerprint(
                "qemu-microvm",
                RuntimeState.HEALTHY,
                "Boots its guest.",
                "7.2.19",
                Accelerator.TCG,
                "A loop of guest code under KVM did not end within 2 s, so TCG is used.",
                components={"kernel": "6.1.0-41-cloud-amd64"},
            ),
            Fingerprint("fake", RuntimeState.UNDETECTED, "Not asked for."),
        ),
    )


def _trials(host: str, rng: random.Random, scale: int) -> Iterator[TrialRow]:
    at = START
    for level, slower in ((1, 1.0), (4, 2.7)):
        for target, count in ((DOCKER, 60 * scale), (MICROVM, 20 * scale)):
            for number in range(-2 if level == 1 else 0, count):
                at += 900 * MS
                yield _trial(host, target, rng, level, number, slower, at)


def _trial(
    host: str, target: Target, rng: random.Random, level: int, number: int, slower: float, at: int
) -> TrialRow:
    make = _container if target is DOCKER else _machine
    trial = make(rng, slower)
    population = Population.WARMUP if number < 0 else Population.MEASURED
    trial = replace(
        trial,
        trial_id=f"{target.id}-{level}-{number}",
        target_id=target.id,
        population=population,
        concurrency=level,
        block=max(number, 0) // 10,
        number=max(number, 0),
        requested_at_unix_ns=at,
    )
    if target is MICROVM and number == 11:
        trial = replace(
            trial,
            outcome=Outcome.TIMED_OUT,
            error="not ready within 60 s; last line: Run /init as init process",
            evidence=EVIDENCE,
            ready_ns=None,
            init_ns=None,
        )
    if target is DOCKER and level == 4 and number == 30:
        trial = replace(
            trial,
            outcome=Outcome.FAILED,
            error="500 Server Error: <no space left>",
            created_ns=None,
            ready_ns=None,
        )
    end = trial.ready_ns or 60_000 * MS
    return TrialRow(
        "0199c0de-7a11-7000-8000-00000000cafe",
        host,
        target,
        trial,
        TrialEnd(trial.trial_id, 1, end + 12 * MS, end + 49 * MS),
    )


def _blank(accelerator: Accelerator, rng: random.Random) -> Trial:
    return Trial(
        trial_id="",
        stage_id="startup",
        target_id="",
        accelerator=accelerator,
        population=Population.MEASURED,
        concurrency=1,
        block=0,
        number=0,
        attempt=1,
        outcome=Outcome.READY,
        requested_at_unix_ns=START,
        noisy=rng.random() < 0.04,
        image_digest="sha256:1d5e",
    )


def _container(rng: random.Random, slower: float) -> Trial:
    stretch = slower * rng.lognormvariate(0, 0.12) * (1.6 if rng.random() < 0.07 else 1)
    accepted = int(11 * MS * stretch)
    created = accepted + int(188 * MS * stretch)
    return replace(
        _blank(Accelerator.NONE, rng),
        accepted_ns=accepted,
        created_ns=created,
        ready_ns=created + int(9 * MS * stretch),
        cpu_ns=int(14 * MS * rng.uniform(0.9, 1.2)),
    )


def _machine(rng: random.Random, slower: float) -> Trial:
    stretch = slower * rng.lognormvariate(0, 0.07)
    marks = [int(ms * MS * stretch) for ms in (4, 71, 540, 1690, 2130)]
    return replace(
        _blank(Accelerator.TCG, rng),
        accepted_ns=marks[0],
        created_ns=marks[1],
        kernel_ns=marks[2],
        init_ns=marks[3],
        ready_ns=marks[4],
        cpu_ns=int(1990 * MS * rng.uniform(0.97, 1.05)),
    )


def as_server(row: TrialRow) -> TrialRow:
    """The start with the mark of a whole server's unit, at a tenth of the way to ready; none
    where it is no VM's, or it did not come so far."""
    trial = row.trial
    if trial.init_ns is None or trial.ready_ns is None:
        return row
    unit = trial.ready_ns - (trial.ready_ns - trial.init_ns) // 10
    return replace(row, trial=replace(trial, unit_ns=unit))


def _facts(host: str, rng: random.Random) -> Iterator[HostFact]:
    facts = [
        *_climb(DOCKER, 340, 4.4 * MB, rng),
        *_climb(MICROVM, 9, 163 * MB, rng),
        *_weigh(DOCKER, rng),
        *_weigh(MICROVM, rng),
        Notice("drop_caches is not allowed here, so mode warm is all there is"),
    ]
    for sequence, fact in enumerate(facts, 1):
        yield HostFact(host, sequence, START + sequence, fact)


def _climb(
    target: Target, limit: int, each: float, rng: random.Random
) -> Iterator[Step | Forecast | DensityResult]:
    stage, step = f"density/{target.id}", max(1, limit // 10)
    counts = [*range(0, limit + 1, step), limit + step]
    for number, count in enumerate(counts):
        sample = Sample(
            instances=count,
            alive=count,
            answering=count,
            mem_available_bytes=int(23_900 * MB - each * count - rng.uniform(0, 9) * MB),
            pss_bytes=int(each * count * 0.8),
            cgroup_bytes=None if target is MICROVM else int(each * count * 0.3),
            cpu_some_avg10=2 + 3 * number + rng.random(),
            memory_some_avg10=0.0,
            io_some_avg10=rng.random(),
        )
        p50 = (0.21 if target is DOCKER else 2.1) * (1 + 0.05 * number)
        yield Step(stage, number, sample, 2, count <= limit, p50, None)
        if number == 3:
            guess = 1500 * MB / each
            yield Forecast(stage, count, guess, guess * 0.9, guess * 1.12, StopReason.MEMORY_BUDGET)
    bound = f"{each * counts[-1] / MB:.0f} MB used of a budget of 1500 MB"
    yield DensityResult(stage, limit, StopReason.MEMORY_BUDGET, bound)


def _weigh(target: Target, rng: random.Random) -> Iterator[FootprintPoint]:
    machine = target is MICROVM
    each = 162 * MB if machine else 4.4 * MB
    for repeat in range(3):
        free = 23_900 * MB - rng.uniform(0, 40) * MB
        for count in (0, 2, 4, 8):

            def noise() -> float:
                return rng.gauss(0, 0.35) * MB

            sample = Sample(
                instances=count,
                alive=count,
                answering=count,
                mem_available_bytes=int(free - each * count + noise()),
                pss_bytes=int(each * 0.85 * count + noise() / 5) if count else 0,
                cgroup_bytes=None if machine else int(0.42 * MB * count + noise() / 50),
                vmm_overhead_bytes=int(31 * MB * count + noise()) if machine else None,
                engine_bytes=None if machine else int(97 * MB + 0.21 * MB * count + noise() / 9),
                helper_bytes=0 if machine else int(2.5 * MB * count + noise() / 9),
                library_bytes=0 if machine else int(0.31 * MB * count),
                application_bytes=0 if machine else int(0.24 * MB * count),
                guest_ram_bytes=int(118 * MB * count + noise()) if machine else None,
                disk_base_bytes=46_661_632 if machine else 2_236_416,
                disk_marginal_bytes=(0 if machine else 28_672) * count,
            )
            yield FootprintPoint(f"footprint/{target.id}", repeat, sample)


def sample_fleet(count: int, *, seed: int = 7, scale: int = 1) -> RunData:
    """The run on many hosts that are not alike: the second is slow, the third was rebooted in
    the middle and went on, the last was lost there. Of ten or more, one measured nothing."""
    names = tuple(f"h{number:02}" for number in range(1, count + 1))
    data = sample_run(names, seed=seed, scale=scale)
    rng = random.Random(seed)
    pace = {name: rng.lognormvariate(0, 0.05) for name in names} | {names[1]: 1.5}
    idle, lost, back = {names[-2]} if count >= 10 else set(), {names[-1]}, names[2]
    begun = {row.trial.trial_id for row in data.trials if row.trial.concurrency == 1}
    trials = [
        replace(row, trial=_paced(row.trial, pace[row.host]))
        for row in data.trials
        if row.host not in idle and (row.host not in lost or row.trial.trial_id in begun)
    ]
    facts = [fact for fact in data.facts if fact.host not in idle | lost]
    resumed = RunResumed(1, True, "the host was booted")
    return replace(
        data,
        run=replace(data.run, state=RunState.PARTIAL, start_skew_seconds=0.0123),
        hosts=tuple(_placed(host, idle, lost) for host in data.hosts),
        trials=tuple(again for row in trials for again in _interrupted(row, back)),
        facts=(*facts, HostFact(back, 9999, START, resumed)),
    )


def _paced(trial: Trial, pace: float) -> Trial:
    def paced(ns: int | None) -> int | None:
        return None if ns is None else int(ns * pace)

    return replace(
        trial,
        accepted_ns=paced(trial.accepted_ns),
        created_ns=paced(trial.created_ns),
        kernel_ns=paced(trial.kernel_ns),
        init_ns=paced(trial.init_ns),
        ready_ns=paced(trial.ready_ns),
    )


def _interrupted(row: TrialRow, back: str) -> Iterator[TrialRow]:
    """On the host that came back, one trial in flight was made again, and a fill instance."""
    trial = row.trial
    if row.host != back or trial.concurrency != 4 or trial.number not in (7, 8):
        yield row
        return
    cut = replace(trial, outcome=Outcome.INTERRUPTED, ready_ns=None, error="the agent died")
    again = replace(trial, attempt=2)
    if trial.number == 8:
        stage = f"density/{row.target.id}"
        fill = replace(trial, population=Population.FILL, stage_id=stage, trial_id=f"{stage}/8")
        end = TrialEnd(fill.trial_id, 1, error="gone with the host", interrupted=True)
        yield replace(row, trial=fill, end=end)
        yield replace(row, trial=replace(fill, attempt=2))
        yield row
        return
    yield replace(row, trial=cut, end=TrialEnd(trial.trial_id, 1, interrupted=True))
    yield replace(row, trial=again)


def _placed(host: HostRun, idle: set[str], lost: set[str]) -> HostRun:
    newer = int(host.host[1:]) % 4 == 0
    facts = replace(host.facts, kernel="6.1.0-41-amd64") if host.facts and newer else host.facts
    if host.host in lost:
        problem = Problem(ProblemKind.UNAVAILABLE, "lost: not heard of for 120 s")
        return replace(host, facts=facts, state=RunState.FAILED, problem=problem)
    if host.host in idle:
        problem = Problem(ProblemKind.UNAVAILABLE, "the agent refused the connection")
        return replace(host, facts=None, runtimes=(), state=RunState.FAILED, problem=problem)
    return replace(host, facts=facts)
