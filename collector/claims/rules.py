"""The rules, with every number that a verdict hangs on. They were fixed before any run.

Change one, and ``RULES_VERSION`` counts up: a verdict tells by which rules it was reached.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from collector.claims.model import Rules, RuleText

RULES_VERSION = 4


@dataclass(frozen=True, slots=True)
class Rule:
    """A claim and when it stands or falls; ``{name}`` in a text is one of its numbers."""

    statement: str
    supported_if: str
    refuted_if: str
    numbers: Mapping[str, float] = field(default_factory=dict)

    @property
    def text(self) -> RuleText:
        """The rule as it is printed beside a verdict."""
        told = {name: f"{value:g}" for name, value in self.numbers.items()}
        return RuleText(
            supported_if=self.supported_if.format(**told),
            refuted_if=self.refuted_if.format(**told),
            numbers=dict(self.numbers),
        )


RULES: Mapping[str, Rule] = {
    "C1": Rule(
        "A virtual machine has an operating-system kernel of its own; a container uses the host's.",
        "in every instance that was asked, a container reports the boot id, the kernel release and "
        "the boot time of its host, and a VM reports a boot id that is neither its host's nor "
        "another VM's, and a boot time after its host's",
        "one container reports another boot id, release or boot time than its host, or one VM the "
        "boot id of its host or of another VM, or its host's boot time",
    ),
    "C2": Rule(
        "A virtual machine may run another type of operating system than its host.",
        "at least {machines} VM booted a payload that is not Linux, and the payload said so on "
        "its own console: ready by its own line, without any mark of a Linux kernel",
        "VMs with such a payload were made at least {tries} times and it never reported itself",
        {"machines": 1, "tries": 3},
    ),
    "C3": Rule(
        "A container must match its host's type of operating system.",
        "the user space of another distribution, or of another release of the host's, became ready "
        "at least {starts} times as a container, on the host's kernel, and an image that declares "
        "another operating system was tried at least {tries} times and refused each time",
        "an image that declares another operating system became ready as a container, or of at "
        "least {failures} containers of the other user space that were made none became ready",
        {"starts": 1, "tries": 1, "failures": 3},
    ),
    "C4": Rule(
        "The number of virtual machines is bounded by memory, since each guest takes much of it.",
        "under at least {limits} hard memory limits and {sizes} guest sizes every ramp ended for "
        "memory, and the ratio of what fits lies within {band} of the ratio of limits with its "
        "whole range, as what fits is between N, which lived, and N + {grain}, which did not; "
        "whether the smallest guest has at most {margin_mib} MiB more than the least that boots is "
        "told beside it",
        "a ramp ended for another reason than memory, or that whole range lies outside the band",
        {"limits": 2, "sizes": 2, "band": 0.2, "grain": 1, "margin_mib": 2},
    ),
    "C5": Rule(
        "Containers take less memory and less disk than virtual machines.",
        "for each estimator that both sides have, the lower bound of the 95 % interval of the "
        "VM/container ratio lies above {ratio}, whatever container it is compared with",
        "the upper bound of that interval is at most {ratio}",
        {"ratio": 1},
    ),
    "C6": Rule(
        "A virtual machine's start is the boot of an operating system; a container's is "
        "near-instant.",
        "in mode warm, which decides (cold and restored starts are told beside it), the "
        "VM/container ratio's 95 % interval lies above {ratio}; at least {boot_share} of a VM's "
        "start passes between its kernel's first mark and ready; and a container's median start "
        "is at most {median_seconds} s with its whole interval, and its p99, of at least "
        "{p99_samples} starts, at most {p99_seconds} s",
        "the ratio's interval reaches {ratio}; or the whole interval of the boot's share lies "
        "below {boot_share}; or a container's median interval lies above {median_seconds} s, "
        "or its p99 is above {p99_seconds} s",
        {
            "ratio": 1,
            "boot_share": 0.5,
            "median_seconds": 0.1,
            "p99_seconds": 1.0,
            "p99_samples": 300,
        },
    ),
    "C7": Rule(
        "The container engine isolates containers from each other.",
        "of at least {instances} instances asked beside neighbours none saw a process, a mount, "
        "the hostname or the network of another, and the host saw the processes of all",
        "one instance saw something of another",
        {"instances": 2},
    ),
}
"""Every rule by its claim, in the lesson's order."""


def as_document() -> Rules:
    """All rules, as they are published."""
    return Rules(
        rules_version=RULES_VERSION, rules={name: rule.text for name, rule in RULES.items()}
    )
