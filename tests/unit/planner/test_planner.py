"""Plans: what each host is told to do, and what is refused beforehand."""

import re
from dataclasses import replace

import pytest

from collector.errors import InvalidInput
from collector.planner import Host, plan, short_name
from collector.spec import parse
from tonnage.model import (
    Accelerator,
    DensityStage,
    Fingerprint,
    FootprintStage,
    HostFacts,
    HttpReadiness,
    Mode,
    Network,
    Plan,
    RuntimeState,
    StartupStage,
    TargetTrials,
)

TEXT = """\
name: small
workload: {image: "registry.local/tonnage/idle:1", readiness: {log: READY}}
targets:
  - runtime: docker
  - runtime: qemu-microvm
    memory: 256MiB
startup: {trials: 40, warmup: 3, concurrency: [1, 4], per_target: {qemu-microvm: {trials: 20}}}
density:
  max_instances: 100
  step: 10
  slo: {ready_p95: 2s, cpu_pressure: 25%, available_memory: 1GiB}
  per_target: {qemu-microvm: {step: 1, memory_budget: 1GiB}}
footprint: {counts: [1, 2, 4]}
"""

FACTS = HostFacts(
    host="h1",
    agent_id="agent",
    agent_version="0.1.0",
    boot_id="boot",
    kernel="6.1",
    os="Debian 12",
    architecture="x86_64",
    cpu_model="cpu",
    cpus=2,
    memory_bytes=8 * 2**30,
    swap_bytes=0,
    cgroup="v2",
    virtualization="",
    ksm="off",
    transparent_huge_pages="never",
    governor="unknown",
    psi=True,
)
DOCKER = Fingerprint(
    runtime="docker",
    state=RuntimeState.HEALTHY,
    reason="the engine answers",
    variants=("runc",),
    networks=(Network.NONE, Network.BRIDGE),
    modes=(Mode.WARM, Mode.COLD),
    readiness=("log", "tcp", "http"),
)
MICROVM = Fingerprint(
    runtime="qemu-microvm",
    state=RuntimeState.HEALTHY,
    reason="it boots",
    accelerator=Accelerator.TCG,
    variants=("direct",),
    networks=(Network.NONE,),
    modes=(Mode.WARM,),
    readiness=("log",),
)


def host(name: str = "h1", *runtimes: Fingerprint) -> Host:
    return Host(name, runtimes or (DOCKER, MICROVM), replace(FACTS, host=name))


def planned(*overrides: str, hosts: list[Host] | None = None) -> dict[str, Plan]:
    return plan(parse(TEXT, overrides), "run-1", 7, hosts if hosts is not None else [host()])


def refusal(*overrides: str, hosts: list[Host] | None = None) -> InvalidInput:
    with pytest.raises(InvalidInput) as caught:
        planned(*overrides, hosts=hosts)
    return caught.value


def test_one_startup_stage_holds_all_targets_and_the_others_one_each() -> None:
    stages = planned()["h1"].stages
    assert [stage.id for stage in stages] == [
        "startup",
        "footprint/docker",
        "footprint/qemu-microvm",
        "density/docker",
        "density/qemu-microvm",
    ]


def test_startup_trials_follow_each_target() -> None:
    stage = planned()["h1"].stages[0].experiment
    assert isinstance(stage, StartupStage)
    assert stage.targets == (TargetTrials("docker", 40), TargetTrials("qemu-microvm", 20))
    assert (stage.warmup, stage.concurrency, stage.ready_timeout_seconds) == (3, (1, 4), 60.0)


def test_density_takes_its_tweaks_and_its_slo_in_percent() -> None:
    docker, microvm = (stage.experiment for stage in planned()["h1"].stages[3:])
    assert isinstance(docker, DensityStage)
    assert isinstance(microvm, DensityStage)
    assert (docker.step, docker.memory_budget_bytes) == (10, None)
    assert (microvm.step, microvm.memory_budget_bytes) == (1, 2**30)
    assert docker.slo.ready_p95_seconds == 2.0
    assert docker.slo.cpu_some_avg10 == 25.0
    assert docker.slo.memory_some_avg10 is None
    assert docker.slo.mem_available_bytes == 2**30


def test_footprint_has_its_counts() -> None:
    stage = planned()["h1"].stages[1].experiment
    assert isinstance(stage, FootprintStage)
    assert (stage.target_id, stage.counts, stage.repeats) == ("docker", (1, 2, 4), 1)


def test_a_target_takes_the_first_variant_of_its_runtime() -> None:
    docker, microvm = planned()["h1"].targets
    assert (docker.variant, microvm.variant) == ("runc", "direct")
    assert (docker.memory_bytes, microvm.memory_bytes) == (128 * 2**20, 256 * 2**20)
    assert docker.workload == microvm.workload
    assert docker.workload.name == "idle"


@pytest.mark.parametrize(
    ("image", "name"),
    [
        ("tonnage/idle:1", "idle"),
        ("localhost:5000/a/web:2", "web"),
        ("busybox", "busybox"),
        ("a/b@sha256:00", "b"),
    ],
)
def test_a_workload_is_called_after_its_image(image: str, name: str) -> None:
    assert short_name(image) == name


def test_every_host_that_was_selected_has_a_plan() -> None:
    hosts = [host("h1"), host("h2"), host("h3")]
    assert list(planned(hosts=hosts)) == ["h1", "h2", "h3"]


@pytest.mark.parametrize(
    ("override", "hosts", "seconds"),
    [
        ("hosts=null", 2, 60.0),
        ("hosts=[h1, h2]", 2, 60.0),
        ("hosts.barrier=5s", 2, 5.0),
        ("hosts.barrier=0s", 2, 0.0),
        ("hosts.barrier=5s", 1, 0.0),
    ],
)
def test_several_hosts_begin_together(override: str, hosts: int, seconds: float) -> None:
    plans = planned(override, hosts=[host(f"h{n}") for n in range(hosts)])
    assert {plan.release_within_seconds for plan in plans.values()} == {seconds}


def test_run_id_and_seed_go_to_every_host() -> None:
    assert {(p.run_id, p.seed) for p in planned(hosts=[host("h1"), host("h2")]).values()} == {
        ("run-1", 7)
    }


def test_an_unknown_runtime_is_refused_with_a_guess() -> None:
    problem = refusal("targets.0.runtime=dokcer", "compare={}").problem
    assert (problem.field, problem.value) == ("targets[0].runtime", "dokcer")
    assert problem.remedy == "Did you mean docker? Usable there: docker, qemu-microvm."


@pytest.mark.parametrize("state", [RuntimeState.UNDETECTED, RuntimeState.UNHEALTHY])
def test_a_runtime_that_cannot_launch_is_refused_with_its_reason(state: RuntimeState) -> None:
    broken = replace(MICROVM, state=state, reason="no guest kernel was found.")
    problem = refusal(hosts=[host("h1", DOCKER, broken)]).problem
    assert (problem.field, problem.value) == ("targets[1].runtime", "qemu-microvm")
    assert problem.message == f"is {state} on host h1: no guest kernel was found"


def test_a_runtime_that_one_host_lacks_names_the_host_and_how_to_leave_it_out() -> None:
    problem = refusal(hosts=[host("h1"), host("h2", MICROVM)]).problem
    assert (problem.field, problem.value) == ("targets[0].runtime", "docker")
    assert problem.message == "host h2 has no such runtime"
    way_out = re.search(r"hosts: (\{where: .*\})\.$", problem.remedy)
    assert way_out is not None
    assert parse(TEXT, [f"hosts={way_out[1]}"]).hosts.where == "'docker' in runtimes"


@pytest.mark.parametrize(
    ("override", "field", "value", "offered"),
    [
        ("targets.0.variant=kata", "targets[0].variant", "kata", "runc"),
        ("targets.1.network=bridge", "targets[1].network", "bridge", "none"),
        ("targets.1.mode=restore", "targets[1].mode", "restore", "warm"),
    ],
)
def test_what_a_runtime_does_not_offer_is_refused(
    override: str, field: str, value: str, offered: str
) -> None:
    problem = refusal(override).problem
    assert (problem.field, problem.value) == (field, value)
    assert problem.remedy.startswith(f"Offered: {offered}")


def test_more_memory_than_the_host_has_is_refused() -> None:
    problem = refusal("targets.1.memory=16GiB").problem
    assert (problem.field, problem.value) == ("targets[1].memory", "16GiB")
    assert "8.0 GiB" in problem.message
    assert problem.remedy == "Ask for less, for example 4GiB."


def test_more_cpus_than_the_host_has_is_refused() -> None:
    problem = refusal("targets.1.cpus=3").problem
    assert (problem.field, problem.value) == ("targets[1].cpus", "3")
    assert problem.message == "host h1 has only 2 CPUs"
    assert problem.remedy == "Ask for 2 or fewer."
    assert planned("targets.1.cpus=2")["h1"].targets[1].cpus == 2


@pytest.mark.parametrize("readiness", ["{http: {port: 80}}", "{tcp: {port: 80}}"])
def test_a_vm_cannot_be_asked_over_the_network(readiness: str) -> None:
    problem = refusal("targets.0.network=bridge", f"workload.readiness={readiness}").problem
    assert "readiness: {log:" in problem.remedy
    assert "qemu-microvm" in problem.message


# As a VM is when its drivers are there: QEMU forwards ports, which answer for themselves.
FORWARDING = replace(
    MICROVM, networks=(Network.NONE, Network.USER), readiness=("log", "http"), modes=tuple(Mode)
)
ON_A_VM = ("targets=[{runtime: qemu-microvm}]", "startup={trials: 1}", "density=null")


def test_a_vm_that_can_be_asked_over_http_is_not_said_to_be_out_of_reach() -> None:
    hosts = [host("h1", FORWARDING)]
    tcp = "workload.readiness={tcp: {port: 80}}"
    problem = refusal(*ON_A_VM, tcp, hosts=hosts).problem
    assert problem.message == "qemu-microvm on host h1 cannot be asked over tcp"
    assert problem.remedy == "Use readiness: {http: {port: …}} or readiness: {log: TEXT}."


def test_the_network_that_is_named_as_the_way_out_is_one_that_the_runtime_has() -> None:
    http = "workload.readiness={http: {port: 80}}"
    remedy = refusal(*ON_A_VM, http, hosts=[host("h1", FORWARDING)]).problem.remedy
    assert remedy == "Use readiness: {log: TEXT}, or give target qemu-microvm network: user."
    without = replace(FORWARDING, networks=(Network.NONE,))
    remedy = refusal(*ON_A_VM, http, hosts=[host("h1", without)]).problem.remedy
    assert remedy == "Use readiness: {log: TEXT}."


def test_a_health_check_over_the_network_is_refused_likewise() -> None:
    overrides = ("targets.0.network=bridge", "workload.health={http: {port: 80}}")
    assert "health: {console:" in refusal(*overrides).problem.remedy


def test_a_container_without_a_network_cannot_be_asked_over_it() -> None:
    alone = ("targets=[{runtime: docker}]", "startup={trials: 1}", "density=null")
    http = "workload.readiness={http: {port: 80}}"
    assert "network: bridge" in refusal(*alone, http).problem.remedy
    target = planned(*alone, http, "targets.0.network=bridge")["h1"].targets[0]
    assert target.workload.readiness == HttpReadiness(80, "/")


RESTORING = replace(
    MICROVM,
    variants=("direct", "private", "shared-ram"),
    modes=(Mode.WARM, Mode.RESTORE),
)


@pytest.mark.parametrize(
    ("overrides", "variant"),
    [
        (["targets.1.mode=warm"], "direct"),
        (["targets.1.mode=restore"], "private"),
        (["targets.1.mode=restore", "targets.1.variant=shared-ram"], "shared-ram"),
    ],
)
def test_a_target_takes_the_first_variant_that_its_mode_has(
    overrides: list[str], variant: str
) -> None:
    hosts = [host("h1", DOCKER, RESTORING)]
    assert planned(*overrides, hosts=hosts)["h1"].targets[1].variant == variant


@pytest.mark.parametrize(
    ("mode", "variant", "instead"),
    [("restore", "direct", "Use private, shared-ram"), ("warm", "private", "Use direct")],
)
def test_a_mode_has_variants_of_its_own(mode: str, variant: str, instead: str) -> None:
    overrides = (f"targets.1.mode={mode}", f"targets.1.variant={variant}")
    problem = refusal(*overrides, hosts=[host("h1", DOCKER, RESTORING)]).problem
    assert (problem.field, problem.value) == ("targets[1].variant", variant)
    assert problem.remedy.startswith(instead)
