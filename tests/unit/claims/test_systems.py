"""C2 and C3: other systems as VMs, other user spaces as containers."""

from __future__ import annotations

import pytest

from collector.claims.systems import judge_containers, judge_machines
from tests.unit.claims.lesson import FULL, seen, started, subject
from tests.unit.claims.test_inside import HOST, asked, place

PAYLOAD = subject("qemu-full", variant="payload", workload="memtest86")
OTHER = subject("docker", workload="other-linux")
FOREIGN = subject("docker", workload="foreign-os")
REFUSAL = "the engine refused the image: cannot load windows image on linux"


def test_a_payload_that_reports_itself_supports_it() -> None:
    claim = judge_machines([seen(started(PAYLOAD, [3000.0, 3100.0]))])
    assert claim.verdict == "supported"
    assert claim.scope[0].n == 2


def test_a_payload_after_a_linux_kernel_is_none() -> None:
    claim = judge_machines([seen(started(PAYLOAD, [3000.0], kernel_share=0.5))])
    assert claim.verdict == "inconclusive"
    assert "a Linux kernel had spoken" in claim.reason


def test_payloads_that_never_report_themselves_refute_it() -> None:
    hung = [seen(started(PAYLOAD, [1.0] * count, outcome="timed_out")) for count in (2, 3)]
    assert [judge_machines([run]).verdict for run in hung] == ["inconclusive", "refuted"]


def test_boots_that_were_never_made_do_not_refute_it() -> None:
    cut = [
        started(PAYLOAD, [1.0] * 3, outcome=outcome, created_ns=made)
        for outcome, made in (("cancelled", 9), ("interrupted", 9), ("failed", None))
    ]
    assert [judge_machines([seen(trials)]).verdict for trials in cut] == ["inconclusive"] * 3


def test_without_a_payload_there_is_no_evidence() -> None:
    claim = judge_machines([seen(started(FULL, [3000.0], kernel_share=0.5))])
    assert (claim.verdict, claim.scope) == ("inconclusive", [])


TRIXIE = place(HOST).model_copy(update={"os": "Debian GNU/Linux 13 (trixie)"})
BOOKWORM = place(HOST).model_copy(update={"os": "Debian GNU/Linux 12 (bookworm)"})
ASKED = asked(OTHER, inside=[TRIXIE, TRIXIE], outside=BOOKWORM)


def refused(count: int = 2, error: str = REFUSAL) -> list[dict[str, object]]:
    return list(started(FOREIGN, [1.0] * count, outcome="failed", error=error))


def test_another_user_space_that_runs_and_a_refusal_support_it_in_the_engines_words() -> None:
    claim = judge_containers(
        [seen(started(OTHER, [200.0] * 3), iter(refused()), isolation=[ASKED])]
    )
    assert claim.verdict == "supported"
    assert f"docker on h1 said of it: {REFUSAL}." in claim.evidence


def test_a_foreign_image_that_runs_refutes_it() -> None:
    claim = judge_containers([seen(started(OTHER, [200.0] * 3), started(FOREIGN, [200.0]))])
    assert claim.verdict == "refuted"


def test_a_failure_that_says_nothing_of_the_system_is_no_refusal() -> None:
    run = seen(started(OTHER, [200.0]), iter(refused(error="no space left on device")))
    assert judge_containers([run]).verdict == "inconclusive"


def test_one_half_alone_is_inconclusive() -> None:
    halves = [seen(started(OTHER, [200.0] * 3), isolation=[ASKED]), seen(iter(refused()))]
    assert [judge_containers([run]).verdict for run in halves] == ["inconclusive"] * 2
    untried = [row for run in halves for row in judge_containers([run]).scope if row.n == 0]
    assert untried
    assert {(row.estimate, row.ci) for row in untried} == {(None, None)}
    assert judge_containers(halves).verdict == "supported"


def test_a_user_space_that_never_runs_refutes_it_after_three_tries() -> None:
    runs = [
        seen(started(OTHER, [1.0] * count, outcome="failed", error="exited"), iter(refused()))
        for count in (2, 3)
    ]
    assert [judge_containers([run]).verdict for run in runs] == ["inconclusive", "refuted"]


@pytest.mark.parametrize(("outcome", "made"), [("cancelled", 9), ("failed", None)])
def test_containers_that_were_never_made_do_not_refute_it(outcome: str, made: int | None) -> None:
    cut = started(OTHER, [1.0] * 6, outcome=outcome, created_ns=made, error="no space left")
    assert judge_containers([seen(cut, iter(refused()))]).verdict == "inconclusive"


def test_tries_that_were_cancelled_do_not_weaken_a_refusal() -> None:
    cancelled = [row | {"trial": "late", "outcome": "cancelled"} for row in refused(1)]
    trials = iter([*refused(), *cancelled])
    claim = judge_containers([seen(started(OTHER, [200.0] * 3), trials, isolation=[ASKED])])
    assert claim.verdict == "supported"
    assert any(row.reason == "refused in 2 of 2 tries." for row in claim.scope)


@pytest.mark.parametrize(
    ("inside", "told"),
    [
        ("Debian GNU/Linux 13 (trixie)", "another release of the host's distribution, not another"),
        ("Debian GNU/Linux trixie/sid", "another release of the host's distribution, not another"),
        ("Alpine Linux v3.20", "(bookworm) outside: another distribution."),
    ],
)
def test_it_says_whether_it_was_another_distribution_or_another_release(
    inside: str, told: str
) -> None:
    place_of_it = place(HOST).model_copy(update={"os": inside})
    row = asked(OTHER, inside=[place_of_it] * 2, outside=BOOKWORM)
    claim = judge_containers([seen(started(OTHER, [200.0]), iter(refused()), isolation=[row])])
    assert claim.verdict == "supported"
    assert told in claim.evidence[0]


def test_the_hosts_own_release_under_another_name_is_no_other_user_space() -> None:
    point = place(HOST).model_copy(update={"os": "Debian GNU/Linux 12"})
    row = asked(OTHER, inside=[point] * 2, outside=BOOKWORM)
    claim = judge_containers([seen(started(OTHER, [200.0]), iter(refused()), isolation=[row])])
    assert claim.verdict == "inconclusive"
    assert "the host's own release" in claim.reason


def test_the_hosts_own_distribution_or_another_kernel_is_no_evidence() -> None:
    same = asked(OTHER, inside=[BOOKWORM, BOOKWORM], outside=BOOKWORM)
    gvisor = asked(OTHER, "own", inside=[TRIXIE, TRIXIE], outside=BOOKWORM)
    for row in (same, gvisor, asked(OTHER, kernel=None)):
        run = seen(started(OTHER, [200.0] * 3), iter(refused()), isolation=[row])
        assert judge_containers([run]).verdict == "inconclusive"
